// A lock that one open handle holds at a time, whatever the process. The system gives it back when the
// process ends, however it ends.
#pragma once

#include <string>

namespace adjudge {

class FileLock {
 public:
  // Makes the file where there is none, and writes this process's number into it. Throws FILE_LOCKED where
  // another handle holds it, with the number of its process, FILE_UNWRITABLE where it cannot be made. A file
  // system without locks locks nothing.
  explicit FileLock(const std::string& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace adjudge
