// Memory for large arrays that are read again and again: on Linux in pages of 2 MiB, where the system grants
// them, so that streaming weights waits less for address translation.
#pragma once
#include <cstddef>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace adjudge {

template <class T>
struct PageAllocator {
  using value_type = T;
  PageAllocator() = default;
  template <class Other>
  PageAllocator(const PageAllocator<Other>&) {}
  bool operator==(const PageAllocator&) const = default;

#if defined(__linux__)
  static constexpr std::size_t page = std::size_t{2} << 20;
  static constexpr std::size_t smallest = page * 7 / 8;

  // Whole pages where that wastes an eighth at most; else the last part stays in small ones.
  static std::size_t size(std::size_t count) {
    const std::size_t bytes = count * sizeof(T), whole = (bytes + page - 1) / page * page;
    return whole - bytes <= whole / 8 ? whole : bytes;
  }

  T* allocate(std::size_t count) {
    if (count * sizeof(T) < smallest) return static_cast<T*>(::operator new(count * sizeof(T)));
    const std::size_t bytes = size(count);
    void* const memory = ::operator new (bytes, std::align_val_t{page});
    madvise(memory, bytes, MADV_HUGEPAGE);  // a wish: without it the memory serves as well
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t count) {
    if (count * sizeof(T) < smallest)
      ::operator delete(memory);
    else
      ::operator delete (memory, std::align_val_t{page});
  }
#else
  T* allocate(std::size_t count) { return static_cast<T*>(::operator new(count * sizeof(T))); }
  void deallocate(T* memory, std::size_t) { ::operator delete(memory); }
#endif
};

}  // namespace adjudge
