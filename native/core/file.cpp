#include "core/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/error.h"

namespace adjudge {
namespace {

constexpr size_t buffer_size = size_t{1} << 20;

[[noreturn]] void fail_to_read(const std::string& path, int error_number) {
  if (error_number == ENOENT || error_number == ENOTDIR) {
    throw Error("FILE_NOT_FOUND", path + ": no such file; check the path");
  }
  if (error_number == EACCES || error_number == EPERM) {
    throw Error("PERMISSION_DENIED", path + ": no permission to read it");
  }
  throw Error("FILE_UNREADABLE", path + ": cannot be read: " + std::strerror(error_number));
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) fail_to_read(path, errno);
  struct stat status = {};
  if (fstat(descriptor, &status) != 0) {
    const int error_number = errno;
    close(descriptor);
    fail_to_read(path, error_number);
  }
  if (!S_ISREG(status.st_mode) || status.st_size == 0) {
    close(descriptor);
    const char* what = S_ISDIR(status.st_mode)   ? ": is a folder; a file was expected"
                       : S_ISREG(status.st_mode) ? ": is empty; was the download or copy cut off?"
                                                 : ": is not an ordinary file";
    throw Error("FILE_UNREADABLE", path + what);
  }
  size_ = static_cast<size_t>(status.st_size);
  void* address = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
  const int error_number = errno;
  close(descriptor);
  if (address == MAP_FAILED) fail_to_read(path, error_number);
  data_ = static_cast<const std::byte*>(address);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

bool file_exists(const std::string& path) {
  struct stat status = {};
  return stat(path.c_str(), &status) == 0 && !S_ISDIR(status.st_mode);
}

bool is_folder(const std::string& path) {
  struct stat status = {};
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

std::string join_path(std::string_view folder, std::string_view name) {
  std::string path(folder);
  if (!path.empty() && path.back() != '/') path += '/';
  path += name;
  return path;
}

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  static std::atomic<unsigned> counter{0};
  if (is_folder(path_)) throw Error("FILE_UNWRITABLE", path_ + ": is a folder; a file was expected");
  temporary_ = path_ + "." + std::to_string(getpid()) + "-" + std::to_string(counter++) + ".tmp";
  descriptor_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) {
    const int error_number = errno;
    if (error_number == ENOENT || error_number == ENOTDIR) {
      throw Error("FILE_NOT_FOUND", folder_of(path_) + ": no such folder to write " + path_ + " into");
    }
    fail("created", error_number);
  }
  buffer_.reserve(buffer_size);
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() noexcept {
  if (descriptor_ < 0) return;
  close(descriptor_);
  descriptor_ = -1;
  unlink(temporary_.c_str());
}

void AtomicFile::fail(const char* action, int error_number) {
  discard();
  const std::string folder = folder_of(path_);
  if (error_number == ENOSPC || error_number == EDQUOT) {
    throw Error("DISK_FULL",
                path_ + ": the disk is full (or its quota used up); nothing was written. Free space in " +
                    folder + " or choose another folder");
  }
  if (error_number == EACCES || error_number == EPERM || error_number == EROFS) {
    throw Error("PERMISSION_DENIED", path_ + ": no permission to write into " + folder);
  }
  throw Error("FILE_UNWRITABLE", path_ + ": could not be " + action + ": " + std::strerror(error_number));
}

void AtomicFile::reserve(uint64_t bytes) {
  if (bytes == 0) return;
  if (fallocate(descriptor_, 0, 0, static_cast<off_t>(bytes)) != 0 && (errno == ENOSPC || errno == EDQUOT)) {
    fail("written", errno);
  }
  // Other failures mean that the file system cannot reserve; then writing itself will tell.
}

void AtomicFile::flush() {
  const std::byte* next = buffer_.data();
  size_t left = buffer_.size();
  while (left > 0) {
    const ssize_t written = ::write(descriptor_, next, left);
    if (written < 0) {
      if (errno == EINTR) continue;
      fail("written", errno);
    }
    next += written;
    left -= static_cast<size_t>(written);
  }
  buffer_.clear();
}

void AtomicFile::write(const void* data, size_t bytes) {
  if (descriptor_ < 0) throw Error("FILE_UNWRITABLE", path_ + ": written after it was closed");
  const auto* next = static_cast<const std::byte*>(data);
  while (bytes > 0) {
    const size_t part = std::min(bytes, buffer_size - buffer_.size());
    buffer_.insert(buffer_.end(), next, next + part);
    next += part;
    bytes -= part;
    if (buffer_.size() == buffer_size) flush();
  }
}

void AtomicFile::commit() {
  if (descriptor_ < 0) throw Error("FILE_UNWRITABLE", path_ + ": committed after it was closed");
  flush();
  // A reservation that turned out too large must not leave zeros at the end.
  const off_t end = lseek(descriptor_, 0, SEEK_CUR);
  if (end < 0 || ftruncate(descriptor_, end) != 0) fail("written", errno);
  if (fsync(descriptor_) != 0) fail("written", errno);
  if (rename(temporary_.c_str(), path_.c_str()) != 0) fail("renamed", errno);
  close(descriptor_);
  descriptor_ = -1;
  // The rename itself lasts through a power cut only once the folder is on the disk too. Some file systems
  // cannot sync a folder; the file is complete all the same.
  const int folder = open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    fsync(folder);
    close(folder);
  }
}

void write_file_atomically(const std::string& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

}  // namespace adjudge
