// The floor of a machine for a pull from a local archive repository: reads the given objects, inflates them, hashes header and content
// with SHA-256, computes the fs-verity digest (sha512, blocks of 4096 bytes), writes each content under that name. Nothing is parsed or
// checked beyond what that takes, and nothing is written about the commit. Two threads.
//   limit OBJECTS_DIRECTORY NEW_DIRECTORY FILE_WITH_CHECKSUMS

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>
#ifdef LIMIT_LIBDEFLATE
#include <libdeflate.h>
#else
#include <zlib.h>
#endif

namespace {

constexpr int kThreads = 2;
constexpr size_t kBlockBytes = 4096;
constexpr size_t kDigestBytes = 64;

using Bytes = std::vector<uint8_t>;

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "limit: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

class Inflater {
 public:
#ifdef LIMIT_LIBDEFLATE
  Inflater() : state_(libdeflate_alloc_decompressor()) {}
  ~Inflater() { libdeflate_free_decompressor(state_); }
  bool Inflate(const uint8_t* in, size_t in_bytes, Bytes& out) {
    return libdeflate_deflate_decompress(state_, in, in_bytes, out.data(), out.size(), nullptr) == LIBDEFLATE_SUCCESS;
  }

 private:
  libdeflate_decompressor* state_;
#else
  Inflater() { inflateInit2(&state_, -MAX_WBITS); }
  ~Inflater() { inflateEnd(&state_); }
  bool Inflate(const uint8_t* in, size_t in_bytes, Bytes& out) {
    inflateReset(&state_);
    state_.next_in = const_cast<uint8_t*>(in);
    state_.avail_in = in_bytes;
    state_.next_out = out.data();
    state_.avail_out = out.size();
    return inflate(&state_, Z_FINISH) == Z_STREAM_END && state_.avail_out == 0;
  }

 private:
  z_stream state_ = {};
#endif
};

class Digester {
 public:
  explicit Digester(const EVP_MD* algorithm) : context_(EVP_MD_CTX_new()) {
    EVP_DigestInit_ex(context_, algorithm, nullptr);
  }
  ~Digester() { EVP_MD_CTX_free(context_); }
  void Update(const void* data, size_t bytes) { EVP_DigestUpdate(context_, data, bytes); }
  /** Ready for the next one afterwards. */
  void Finish(uint8_t* digest) {
    EVP_DigestFinal_ex(context_, digest, nullptr);
    EVP_DigestInit_ex(context_, nullptr, nullptr);
  }

 private:
  EVP_MD_CTX* context_;
};

/** Digests of the blocks of `data`, the last one filled up with zeros. */
Bytes HashBlocks(Digester& sha512, const Bytes& data) {
  static const uint8_t zeros[kBlockBytes] = {};
  Bytes digests((data.size() + kBlockBytes - 1) / kBlockBytes * kDigestBytes);
  for (size_t at = 0, i = 0; at < data.size(); at += kBlockBytes, i++) {
    const size_t bytes = std::min(kBlockBytes, data.size() - at);
    sha512.Update(&data[at], bytes);
    if (bytes < kBlockBytes) sha512.Update(zeros, kBlockBytes - bytes);
    sha512.Finish(&digests[i * kDigestBytes]);
  }
  return digests;
}

void FsVerityDigest(Digester& sha512, const Bytes& content, uint8_t* digest) {
  uint8_t descriptor[256] = {1, 2, 12};  // version, SHA-512, log2 of the block size
  for (int i = 0; i < 8; i++) descriptor[8 + i] = static_cast<uint64_t>(content.size()) >> (8 * i);
  if (!content.empty()) {
    Bytes level = HashBlocks(sha512, content);
    while (level.size() > kDigestBytes) level = HashBlocks(sha512, level);
    std::memcpy(&descriptor[16], level.data(), kDigestBytes);
  }
  sha512.Update(descriptor, sizeof descriptor);
  sha512.Finish(digest);
}

Bytes ReadFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info;
  if (fd < 0 || fstat(fd, &info) != 0) Fail(path);
  Bytes bytes(info.st_size);
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = read(fd, &bytes[done], bytes.size() - done);
    if (n <= 0) Fail(path);
    done += n;
  }
  close(fd);
  return bytes;
}

void WriteObject(const std::string& directory, const uint8_t* digest, const Bytes& content) {
  char name[2 * kDigestBytes + 2];
  size_t at = 0;
  for (size_t i = 0; i < kDigestBytes; i++) {
    at += std::sprintf(name + at, "%02x", digest[i]);
    if (i == 0) name[at++] = '/';
  }
  const int fd = open(directory.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0644);
  if (fd < 0) Fail(directory);
  for (size_t done = 0; done < content.size();) {
    const ssize_t n = write(fd, &content[done], content.size() - done);
    if (n <= 0) Fail(directory);
    done += n;
  }
  const std::string temporary = "/proc/self/fd/" + std::to_string(fd);
  const std::string path = directory + "/" + name;
  if (linkat(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) != 0 && errno != EEXIST) Fail(path);
  close(fd);
}

uint64_t ReadBigEndian(const uint8_t* bytes, int count) {
  uint64_t value = 0;
  for (int i = 0; i < count; i++) value = value << 8 | bytes[i];
  return value;
}

void Ingest(const std::string& objects, const std::string& target, const std::vector<std::string>& checksums,
            std::atomic<size_t>& next) {
  Inflater inflater;
  Digester sha256(EVP_sha256()), sha512(EVP_sha512());
  uint8_t checksum[32], digest[kDigestBytes];
  for (size_t i = next++; i < checksums.size(); i = next++) {
    const std::string path = objects + "/" + checksums[i].substr(0, 2) + "/" + checksums[i].substr(2) + ".filez";
    const Bytes object = ReadFile(path);
    if (object.size() < 16) Fail(path + " is too short");
    const size_t header_bytes = 8 + ReadBigEndian(object.data(), 4);
    if (header_bytes > object.size()) Fail(path + " has a bad header");
    Bytes content(ReadBigEndian(&object[8], 8));
    if (!content.empty() && !inflater.Inflate(&object[header_bytes], object.size() - header_bytes, content))
      Fail(path + " cannot be inflated");
    sha256.Update(object.data(), header_bytes);
    sha256.Update(content.data(), content.size());
    sha256.Finish(checksum);
    if (content.empty()) continue;
    FsVerityDigest(sha512, content, digest);
    WriteObject(target, digest, content);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const std::string objects = argv[1], target = argv[2];
  std::ifstream list(argv[3]);
  std::vector<std::string> checksums;
  for (std::string line; std::getline(list, line);) checksums.push_back(line);
  if (mkdir(target.c_str(), 0755) != 0) Fail(target);
  for (int i = 0; i < 256; i++) {
    char name[4];
    std::snprintf(name, sizeof name, "/%02x", i);
    mkdir((target + name).c_str(), 0755);
  }
  std::atomic<size_t> next{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; i++) threads.emplace_back([&] { Ingest(objects, target, checksums, next); });
  for (std::thread& thread : threads) thread.join();
  return 0;
}
