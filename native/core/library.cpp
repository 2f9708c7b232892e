#include "core/library.h"

#include <dlfcn.h>

#include <filesystem>

#include "core/error.h"

namespace adjudge {

Library::Library(const std::string& path) : path_(path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) throw Error("FILE_NOT_FOUND", path + " does not exist");
  // Local: the symbols of a library beside the addon must not meet those of another one in the process.
  handle_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle_) return;
  const char* message = dlerror();
  throw Error("FILE_CORRUPT", path + " cannot be opened: " + (message ? message : "no reason given"));
}

void* Library::symbol(const char* name) const {
  void* found = dlsym(handle_, name);
  if (!found) throw Error("FILE_CORRUPT", path_ + " has no function " + name);
  return found;
}

std::string file_of_address(const void* address) {
  Dl_info info{};
  if (dladdr(address, &info) == 0 || !info.dli_fname) return {};
  return info.dli_fname;
}

}  // namespace adjudge
