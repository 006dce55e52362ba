// What the node binary exports to addons besides Node-API. Declared here, because not every Node ships these headers
// (zlib.h in none) and these parts of the interfaces have not changed in decades. The addon is linked with `-z now`: where
// a symbol is missing, loading it fails with the symbol's name.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

// libcrypto
struct evp_md_ctx_st;
struct evp_md_st;
struct engine_st;
evp_md_ctx_st* EVP_MD_CTX_new(void);
void EVP_MD_CTX_free(evp_md_ctx_st* context);
const evp_md_st* EVP_sha256(void);
const evp_md_st* EVP_sha512(void);
int EVP_DigestInit_ex(evp_md_ctx_st* context, const evp_md_st* type, engine_st* engine);
int EVP_DigestUpdate(evp_md_ctx_st* context, const void* data, size_t size);
int EVP_DigestFinal_ex(evp_md_ctx_st* context, unsigned char* digest, unsigned int* size);
struct SHA256state_st {
  /** The state after all whole blocks. */
  unsigned int h[8];
  /** Bits so far, low and high half. */
  unsigned int Nl, Nh;
  /** The last block, as far as it is there. */
  unsigned int data[16];
  /** Bytes in `data`. */
  unsigned int num;
  unsigned int md_len;
};
int SHA256_Init(SHA256state_st* state);
int SHA256_Update(SHA256state_st* state, const void* data, size_t size);
int SHA256_Final(unsigned char* digest, SHA256state_st* state);

// zlib
struct z_stream {
  const unsigned char* next_in;
  unsigned int avail_in;
  unsigned long total_in;
  unsigned char* next_out;
  unsigned int avail_out;
  unsigned long total_out;
  const char* msg;
  void* state;
  void* (*zalloc)(void* opaque, unsigned int items, unsigned int size);
  void (*zfree)(void* opaque, void* address);
  void* opaque;
  int data_type;
  unsigned long adler;
  unsigned long reserved;
};
const char* zlibVersion(void);
/** Compares the first digit of `version` and `streamBytes` with its own. */
int inflateInit2_(z_stream* stream, int windowBits, const char* version, int streamBytes);
int inflate(z_stream* stream, int flush);
int inflateReset(z_stream* stream);
int inflateEnd(z_stream* stream);
int deflateInit2_(z_stream* stream, int level, int method, int windowBits, int memory, int strategy, const char* version,
                  int streamBytes);
int deflate(z_stream* stream, int flush);
int deflateReset(z_stream* stream);
int deflateEnd(z_stream* stream);

// libuv
const char* uv_err_name(int error);
const char* uv_strerror(int error);
unsigned int uv_available_parallelism(void);

}  // extern "C"
