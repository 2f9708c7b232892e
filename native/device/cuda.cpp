#include "device/cuda.h"

#include <cstdlib>
#include <filesystem>

#include "core/error.h"
#include "core/library.h"

namespace adjudge::device {
namespace {

// The sources that run on every device since Ampere.
constexpr int least_capability = 8;

std::string default_path() {
  if (const char* named = std::getenv("ADJUDGE_CUDA_LIBRARY"); named && *named) return named;
  static const char here = 0;
  return (std::filesystem::path(file_of_address(&here)).parent_path() / "adjudge_cuda.so").string();
}

// Why a driver does not serve, "" where it does.
std::string driver_fault(const Cuda& found) {
  if (found.driver_version == 0) return "no GPU: no NVIDIA driver is installed";
  if (found.driver_version / 1000 < found.runtime_version / 1000) {
    return "the NVIDIA driver knows CUDA " + version_text(found.driver_version) +
           ", the library was compiled for CUDA " + version_text(found.runtime_version) +
           ": install a newer driver, or compile with an older CUDA (npx adjudge build)";
  }
  return {};
}

// Finds a device and runs an empty kernel on it. Returns why that does not work, "" where it does.
std::string device_fault(Cuda& found) {
  const cuda::Runtime& runtime = *found.runtime;
  int count = 0;
  if (const int status = runtime.device_count(&count); status != 0 || count == 0) {
    return std::string("no GPU: a driver is installed, but no device is visible (") +
           (status != 0 ? runtime.message(status) : "none found") + "; CUDA_VISIBLE_DEVICES may hide it)";
  }
  if (const int status = runtime.describe(0, &found.description)) {
    return std::string("the GPU cannot be used: ") + runtime.message(status);
  }
  if (found.host_shim) return {};
  const cuda::DeviceDescription& device = found.description;
  if (device.major < least_capability) {
    return std::string(device.name) + " has compute capability " + std::to_string(device.major) + "." +
           std::to_string(device.minor) + ", the kernels need 8.0 or newer";
  }
  if (const int status = runtime.select(0)) {
    return std::string(device.name) + " does not run the library (" + found.build +
           "): " + runtime.message(status) +
           ". Compile it for this device: ADJUDGE_CUDA_ARCHITECTURES=" + std::to_string(device.major) +
           std::to_string(device.minor) + " npx adjudge build";
  }
  return {};
}

void open(Cuda& found) {
  const Library library(found.path);
  const auto* table = library.function<AdjudgeCudaEntry>(ADJUDGE_CUDA_ENTRY)();
  if (table->version != cuda::library_version) {
    found.reason = found.path + " is of another version of adjudge (" + std::to_string(table->version) +
                   ", needed is " + std::to_string(cuda::library_version) +
                   "): compile it again with: npx adjudge build";
    return;
  }
  const auto* kernels = library.function<decltype(adjudge_cuda_kernels)>("adjudge_cuda_kernels")();
  if (kernels->version != cuda::kernels_version || kernels->bytes != sizeof(cuda::Kernels)) {
    found.reason = found.path + " has kernels of another version of adjudge (" +
                   std::to_string(kernels->version) + ", needed is " + std::to_string(cuda::kernels_version) +
                   "): compile it again with: npx adjudge build";
    return;
  }
  found.host_shim = table->host != 0;
  found.build = table->build;
  found.runtime = &table->runtime;
  found.kernels = kernels;
  found.runtime->versions(&found.driver_version, &found.runtime_version);
  if (!found.host_shim) found.reason = driver_fault(found);
  if (found.reason.empty()) found.reason = device_fault(found);
  found.usable = found.reason.empty();
}

}  // namespace

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

Cuda open_cuda(const std::string& path) {
  Cuda found;
  found.path = path;
  try {
    open(found);
  } catch (const Error& error) {
    found.reason = error.code == "FILE_NOT_FOUND"
                       ? std::string("the library of CUDA kernels is not there (") + error.what() +
                             "): where CUDA's compiler nvcc is, compile it with: npx adjudge build"
                       : std::string(error.what()) + ": compile it again with: npx adjudge build";
  }
  return found;
}

const Cuda& cuda() {
  static const Cuda found = open_cuda(default_path());
  return found;
}

}  // namespace adjudge::device
