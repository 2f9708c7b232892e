// Reading whole files by memory map and writing them atomically.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace adjudge {

// A read-only memory map of a whole file. The file must not be shortened while it is mapped.
// Throws FILE_NOT_FOUND, PERMISSION_DENIED, or FILE_UNREADABLE (a folder, an empty file, an input/output
// error).
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

bool file_exists(const std::string& path);
bool is_folder(const std::string& path);
std::string join_path(std::string_view folder, std::string_view name);

// Writes a file that appears under its name whole or not at all: a temporary file in the same folder, fsync,
// rename, fsync of the folder. Without commit() the destructor removes the temporary file.
// Throws DISK_FULL, PERMISSION_DENIED, FILE_NOT_FOUND (no such folder) or FILE_UNWRITABLE.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void reserve(uint64_t bytes);  // asks the disk for the space now, so that a full disk shows before the work
  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void commit();

 private:
  void flush();
  void discard() noexcept;
  [[noreturn]] void fail(const char* action, int error_number);

  std::string path_;
  std::string temporary_;
  int descriptor_ = -1;
  std::vector<std::byte> buffer_;
};

void write_file_atomically(const std::string& path, std::string_view content);

}  // namespace adjudge
