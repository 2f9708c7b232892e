// A shared library opened at run time.
#pragma once

#include <string>

namespace adjudge {

// Stays open for the life of the process, also after its owner is gone: its threads and exit handlers may
// still run (a CUDA runtime has both).
class Library {
 public:
  // Throws Error FILE_NOT_FOUND where there is no such file, FILE_CORRUPT where it is not a library for this
  // machine or needs another one that is missing; the message is the system's own.
  explicit Library(const std::string& path);

  // Throws Error FILE_CORRUPT where the library has no function of this name.
  template <typename Function>
  Function* function(const char* name) const {
    return reinterpret_cast<Function*>(symbol(name));
  }

  const std::string& path() const { return path_; }

 private:
  void* symbol(const char* name) const;

  std::string path_;
  void* handle_ = nullptr;
};

// The file that holds the code at this address, such as the addon itself. Empty where the system does not
// tell.
std::string file_of_address(const void* address);

}  // namespace adjudge
