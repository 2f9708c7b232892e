// The library of CUDA kernels: found or not, and why; arrays there and back, on the host shim.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <vector>

#include "core/error.h"
#include "core/library.h"
#include "device/choice.h"
#include "device/session.h"

namespace adjudge::device {
namespace {

class ScratchFile {
 public:
  ScratchFile(const char* name, const char* text) : path_(testing::TempDir() + name) {
    std::ofstream(path_) << text;
  }
  ~ScratchFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string code_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code;
  }
  return "none";
}

TEST(DeviceCuda, SaysHowToBuildAMissingLibrary) {
  const Cuda absent = open_cuda("/nowhere/adjudge_cuda.so");
  EXPECT_FALSE(absent.usable);
  EXPECT_NE(absent.reason.find("/nowhere/adjudge_cuda.so does not exist"), std::string::npos)
      << absent.reason;
  EXPECT_NE(absent.reason.find("npx adjudge build"), std::string::npos) << absent.reason;
}

TEST(DeviceCuda, NamesAFileThatIsNoLibrary) {
  const ScratchFile file("no_library.so", "no library");
  const Cuda broken = open_cuda(file.path());
  EXPECT_FALSE(broken.usable);
  EXPECT_NE(broken.reason.find(file.path() + " cannot be opened"), std::string::npos) << broken.reason;
}

TEST(DeviceCuda, RefusesASessionOnAnUnusableDevice) {
  const Cuda absent = open_cuda("/nowhere/adjudge_cuda.so");
  EXPECT_EQ(code_of([&] { Session session(absent); }), "DEVICE_UNAVAILABLE");
}

TEST(DeviceCuda, TheHostShimSaysThatItIsOne) {
  const Cuda shim = open_cuda(ADJUDGE_CUDA_HOST_LIBRARY);
  ASSERT_TRUE(shim.usable) << shim.reason;
  EXPECT_TRUE(shim.host_shim);
  EXPECT_STREQ(shim.description.name, "host shim: kernels run on the processor");
}

TEST(DeviceLibrary, NamesAMissingFunction) {
  const Library library(ADJUDGE_CUDA_HOST_LIBRARY);
  EXPECT_EQ(code_of([&] { library.function<void()>("no_such_function"); }), "FILE_CORRUPT");
}

TEST(DeviceChoice, KnowsItsWords) {
  EXPECT_EQ(choice_of("auto"), Choice::automatic);
  EXPECT_EQ(choice_of("cuda"), Choice::cuda);
  EXPECT_EQ(code_of([] { choice_of("gpu"); }), "ARGUMENT_INVALID");
  EXPECT_FALSE(runs_on_cuda(Choice::cpu, std::size_t{1} << 40, true));
  EXPECT_EQ(code_of([] { runs_on_cuda(Choice::cuda, 1, false); }), "DEVICE_UNSUPPORTED");
}

TEST(DeviceSession, CopiesArraysThereAndBack) {
  const Cuda shim = open_cuda(ADJUDGE_CUDA_HOST_LIBRARY);
  std::vector<float> from(100'000);
  std::iota(from.begin(), from.end(), 0.0F);
  std::vector<float> to(from.size(), -1), kept(from);
  float* const absent = nullptr;
  {
    Session session(shim);
    const float* device = session.in(from.data(), from.size());
    EXPECT_NE(device, from.data());
    EXPECT_EQ(session.in(from.data(), from.size()), device) << "one copy of one array";
    EXPECT_EQ(session.in(absent, 5), nullptr);
    float* result = session.out(to.data(), to.size());
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(result) % 256, 0U);
    session.in_out(kept.data(), kept.size());
    EXPECT_EQ(session.out(absent, 5), nullptr);
    session.check(shim.runtime->copy_on_device(result, device, from.size() * 4, session.stream()), "copying");
    EXPECT_EQ(to[1], -1) << "nothing comes back before finish";
    session.finish();
  }
  EXPECT_EQ(to, from);
  EXPECT_EQ(kept, from);
}

TEST(DeviceSession, GivesAWorkspaceAndToldOfRefusedLaunches) {
  const Cuda shim = open_cuda(ADJUDGE_CUDA_HOST_LIBRARY);
  Session session(shim);
  std::size_t given = 0;
  EXPECT_TRUE(session.launch("kernel", [&](cuda::Launch& launch) {
    if (launch.measure)
      launch.workspace_bytes = 1000;
    else if (launch.workspace)
      given = launch.workspace_bytes;
    return int{cuda::enqueued};
  }));
  EXPECT_EQ(given, 1000U);
  EXPECT_FALSE(session.launch("kernel", [](cuda::Launch&) { return int{cuda::rule_not_computed}; }));
  EXPECT_EQ(code_of([&] { session.launch("kernel", [](cuda::Launch&) { return 2; }); }), "DEVICE_MEMORY");
  EXPECT_EQ(code_of([&] { session.launch("kernel", [](cuda::Launch&) { return 1; }); }), "DEVICE_FAILED");
  EXPECT_EQ(
      code_of([&] { session.launch("kernel", [](cuda::Launch&) { return int{cuda::launch_invalid}; }); }),
      "INTERNAL");
}

}  // namespace
}  // namespace adjudge::device
