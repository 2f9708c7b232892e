// The figures of a native benchmark, as JSON for the ledger.
#pragma once
#include <cstdio>
#include <string>
#include <vector>

#include "native/cpu/gemm.h"
#include "timing.h"

namespace adjudge::bench {

struct Figure {
  std::string name;  // without quotation marks
  Middle share;
  double beside = 0;  // what the share is of, in GB/s or GFLOP/s
};

// {"threads", "figures": [{name, value, low, high, unit, beside}]}; false where the file cannot be written.
inline bool write_figures(const std::string& path, int threads, const char* unit,
                          const std::vector<Figure>& figures) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (!file) {
    std::fprintf(stderr, "%s: cannot be written\n", path.c_str());
    return false;
  }
  std::fprintf(file, "{\"threads\":%d,\"figures\":[", threads);
  const char* separator = "";
  for (const auto& [name, share, beside] : figures) {
    std::fprintf(file, "%s{\"name\":\"%s\",\"value\":%.6g,\"low\":%.6g,\"high\":%.6g,", separator,
                 name.c_str(), share.value, share.low, share.high);
    std::fprintf(file, "\"unit\":\"%s\",\"beside\":%.6g}", unit, beside);
    separator = ",";
  }
  std::fprintf(file, "]}\n");
  return std::fclose(file) == 0;
}

}  // namespace adjudge::bench
