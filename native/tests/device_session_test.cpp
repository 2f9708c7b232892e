// The library of CUDA kernels: found or not, and why.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>

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

}  // namespace
}  // namespace adjudge::device
