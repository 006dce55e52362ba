#include "worker-pool.h"

#include <algorithm>
#include <cstdlib>
#include <set>

#include "js.h"
#include "node-symbols.h"
#include "system.h"

namespace cfs {

namespace {

/** Most rows in one share: enough to fill the hashing lanes with small files. */
constexpr size_t kMostRowsPerShare = 16;
constexpr size_t kFewestRowsPerShare = 4;
/** Hashing and writing must not starve the one JavaScript thread that feeds them. */
constexpr int kNiceness = 5;

/**
 * All pools of the process. process.exit() runs no environment cleanup, but the exit handlers of OpenSSL, under the feet of
 * our threads: so ours, registered later and therefore run earlier, ends them first.
 */
struct LivePools {
  std::mutex mutex;
  std::set<WorkerPool*> pools;
  ~LivePools() {
    std::lock_guard<std::mutex> lock(mutex);
    for (WorkerPool* pool : pools) pool->stop();
  }
};
LivePools& livePools() {
  static LivePools pools;
  return pools;
}

}  // namespace

size_t usableCpus() { return std::max(1u, uv_available_parallelism()); }

void Job::keep(napi_env env, napi_value value) {
  napi_ref reference;
  check(env, napi_create_reference(env, value, 1, &reference));
  kept_.push_back(reference);
}

WorkerPool::WorkerPool(napi_env env, size_t threads, MakeWorker makeWorker)
    : env_(env), threadCount_(std::max<size_t>(1, threads)), makeWorker_(makeWorker) {
  napi_value name;
  check(env, napi_create_string_utf8(env, "cfs-ostree", NAPI_AUTO_LENGTH, &name));
  check(env, napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, onFinished, &toJavaScript_));
  check(env, napi_unref_threadsafe_function(env, toJavaScript_));
  // added after the function's own hook, so it runs before that one
  check(env, napi_add_env_cleanup_hook(env, onEnvironmentCleanup, this));
  LivePools& live = livePools();
  std::lock_guard<std::mutex> lock(live.mutex);
  live.pools.insert(this);
}

WorkerPool::~WorkerPool() { shutDown(); }

napi_value WorkerPool::submit(std::shared_ptr<Job> job, bool held) {
  if (closing()) throw ErrorToThrow{"ERR_CFS_CLOSED", "closed"};
  if (threads_.empty()) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (stopped_) throw ErrorToThrow{"ERR_CFS_CLOSED", "closed"};
    for (size_t i = 0; i < threadCount_; i++) threads_.emplace_back([this] { threadMain(); });
  }
  napi_value promise;
  check(env_, napi_create_promise(env_, &job->deferred_, &promise));
  if (inFlight_++ == 0) check(env_, napi_ref_threadsafe_function(env_, toJavaScript_));
  if (!held) release(std::move(job));
  return promise;
}

void WorkerPool::release(std::shared_ptr<Job> job) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (job->rows_ != 0) {
      queue_.push_back(std::move(job));
    } else {
      finished_.push_back(std::move(job));
      notify();
    }
  }
  wake_.notify_all();
}

void WorkerPool::threadMain() {
  lowerThreadPriority(kNiceness);
  std::unique_ptr<Worker> worker;
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopped_ || !queue_.empty(); });
    if (stopped_) return;
    const std::shared_ptr<Job> job = queue_.front();
    const size_t begin = job->taken_;
    const size_t share = std::clamp(job->rows_ / threadCount_, kFewestRowsPerShare, kMostRowsPerShare);
    const size_t end = std::min(job->rows_, begin + share);
    job->taken_ = end;
    if (end == job->rows_) queue_.pop_front();
    lock.unlock();
    bool ready = worker != nullptr;
    if (!ready && !closing()) {
      try {
        worker = makeWorker_();
        ready = true;
      } catch (const std::exception&) {
        // out of memory: these rows end as cancelled, the next ones may fare better
      }
    }
    if (closing() || !ready)
      job->cancel(begin, end);
    else
      job->run(*worker, begin, end);
    lock.lock();
    job->finished_ += end - begin;
    if (job->finished_ == job->rows_) {
      finished_.push_back(job);
      notify();
    }
  }
}

/** With the mutex held. One call serves all jobs that finish until the JavaScript thread comes round. */
void WorkerPool::notify() {
  if (notified_ || stopped_ || toJavaScript_ == nullptr) return;
  notified_ = true;
  if (napi_call_threadsafe_function(toJavaScript_, nullptr, napi_tsfn_nonblocking) == napi_closing) toJavaScript_ = nullptr;
}

void WorkerPool::onFinished(napi_env env, napi_value, void* context, void*) {
  if (env != nullptr) static_cast<WorkerPool*>(context)->settleFinished();
}

void WorkerPool::settleFinished() {
  std::vector<std::shared_ptr<Job>> jobs;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    notified_ = false;
    jobs.swap(finished_);
  }
  for (const std::shared_ptr<Job>& job : jobs) {
    napi_handle_scope scope;
    if (napi_open_handle_scope(env_, &scope) != napi_ok) return;  // the environment is going away
    settlePromise(env_, job->deferred_, [&] { return job->settle(env_); });
    for (const napi_ref reference : job->kept_) napi_delete_reference(env_, reference);
    napi_close_handle_scope(env_, scope);
    inFlight_--;
  }
  if (inFlight_ != 0) return;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (toJavaScript_ != nullptr) napi_unref_threadsafe_function(env_, toJavaScript_);
  }
  if (closing()) shutDown();
}

napi_value WorkerPool::close() {
  closing_.store(true);
  napi_deferred deferred;
  napi_value promise;
  check(env_, napi_create_promise(env_, &deferred, &promise));
  closeWaiters_.push_back(deferred);
  if (inFlight_ == 0) shutDown();
  return promise;
}

void WorkerPool::stop() {
  closing_.store(true);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

/** JavaScript thread; any number of times. */
void WorkerPool::shutDown() {
  bool first;
  {
    LivePools& live = livePools();
    std::lock_guard<std::mutex> lock(live.mutex);
    first = live.pools.erase(this) != 0;
  }
  if (first) {
    stop();
    napi_remove_env_cleanup_hook(env_, onEnvironmentCleanup, this);
    if (toJavaScript_ != nullptr) napi_release_threadsafe_function(toJavaScript_, napi_tsfn_abort);
    toJavaScript_ = nullptr;
    if (whenStopped) whenStopped();
  }
  for (const napi_deferred deferred : closeWaiters_) {
    napi_handle_scope scope;
    if (napi_open_handle_scope(env_, &scope) != napi_ok) break;
    napi_value undefined;
    if (napi_get_undefined(env_, &undefined) == napi_ok) napi_resolve_deferred(env_, deferred, undefined);
    napi_close_handle_scope(env_, scope);
  }
  closeWaiters_.clear();
}

void WorkerPool::onEnvironmentCleanup(void* data) { static_cast<WorkerPool*>(data)->shutDown(); }

}  // namespace cfs
