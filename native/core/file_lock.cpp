#include "core/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace adjudge {
namespace {

constexpr size_t most_digits = 20;

std::string holder(int descriptor) {
  char text[most_digits] = {};
  const ssize_t count = pread(descriptor, text, sizeof text, 0);
  const std::string number(text, count > 0 ? static_cast<size_t>(count) : 0);
  return number.substr(0, number.find_first_not_of("0123456789"));
}

bool lock(int descriptor) {
  for (;;) {
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) return true;
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) return true;  // no locks here: better to work than to refuse
  }
}

}  // namespace

FileLock::FileLock(const std::string& path)
    : descriptor_(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
  if (descriptor_ < 0) {
    throw Error("FILE_UNWRITABLE", path + ": cannot be made: " + std::strerror(errno));
  }
  if (!lock(descriptor_)) {
    const std::string process = holder(descriptor_);
    close(descriptor_);
    const std::string who = process.empty() ? "another process" : "process " + process;
    throw Error("FILE_LOCKED", path + ": " + who + " is at work here; wait until it ends, stop it");
  }
  // The number helps the reader of a message alone: a disk without room for it does not matter.
  const std::string number = std::to_string(getpid()) + "\n";
  [[maybe_unused]] const bool written =
      ftruncate(descriptor_, 0) == 0 && pwrite(descriptor_, number.data(), number.size(), 0) > 0;
}

FileLock::~FileLock() { close(descriptor_); }

}  // namespace adjudge
