// Threads of our own (libuv's are few and shared with `fs` and `dns`), and the way back to the JavaScript thread.
#pragma once

#include <node_api.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace cfs {

class WorkerPool;

/** What one thread keeps from job to job. Subclasses hold the scratch space of their jobs. */
class Worker {
 public:
  virtual ~Worker() = default;
};

/**
 * Work for the pool, made of rows that threads take in shares. Made, settled and destroyed on the JavaScript thread (but
 * destroyed wherever it is when the environment goes away).
 */
class Job {
 public:
  explicit Job(size_t rows) : rows_(rows) {}
  virtual ~Job() = default;
  /** On a pool thread; several shares at the same time. Must not throw. */
  virtual void run(Worker& worker, size_t begin, size_t end) = 0;
  /** Instead of run(), when the pool closes. */
  virtual void cancel(size_t begin, size_t end) = 0;
  /** JavaScript thread, after all rows: what the promise is resolved with. Throws as bindings do: then it is rejected. */
  virtual napi_value settle(napi_env env) = 0;
  /** Keeps a JavaScript value alive until the job is settled. */
  void keep(napi_env env, napi_value value);

 private:
  friend class WorkerPool;
  const size_t rows_;
  size_t taken_ = 0, finished_ = 0;  // guarded by the pool's mutex
  napi_deferred deferred_ = nullptr;
  std::vector<napi_ref> kept_;
};

class WorkerPool {
 public:
  using MakeWorker = std::unique_ptr<Worker> (*)();
  WorkerPool(napi_env env, size_t threads, MakeWorker makeWorker);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /** JavaScript thread. The promise that settle() resolves. With `held` the job waits for release(). */
  napi_value submit(std::shared_ptr<Job> job, bool held = false);
  /** Any thread: now the job may run. */
  void release(std::shared_ptr<Job> job);
  /** JavaScript thread. Resolves when the last job is settled and the threads are gone. */
  napi_value close();
  bool closing() const { return closing_.load(std::memory_order_relaxed); }
  size_t threads() const { return threadCount_; }

  /** Called on the JavaScript thread when the threads are gone. */
  std::function<void()> whenStopped;

  /** Ends the threads at once, from whichever thread; jobs are not settled any more. For the end of the process. */
  void stop();

 private:
  void threadMain();
  void notify();
  void settleFinished();
  void shutDown();
  static void onEnvironmentCleanup(void* pool);
  static void onFinished(napi_env env, napi_value callback, void* context, void* data);

  const napi_env env_;
  const size_t threadCount_;
  const MakeWorker makeWorker_;
  std::atomic<bool> closing_{false};
  std::vector<std::thread> threads_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Job>> queue_;
  std::vector<std::shared_ptr<Job>> finished_;
  bool stopped_ = false;
  bool notified_ = false;
  napi_threadsafe_function toJavaScript_ = nullptr;

  size_t inFlight_ = 0;  // JavaScript thread only
  std::vector<napi_deferred> closeWaiters_;
};

/** CPUs that this process may use, by its affinity and the quota of its control group: what os.availableParallelism() says. */
size_t usableCpus();

}  // namespace cfs
