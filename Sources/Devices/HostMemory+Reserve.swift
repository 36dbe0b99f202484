#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

extension HostMemory {
  /// Zeroed memory, or nil: `UnsafeMutableRawPointer.allocate` would trap where there is none.
  static func reserve(_ bytes: Int) -> UnsafeMutableRawBufferPointer? {
    var memory: UnsafeMutableRawPointer?
    guard posix_memalign(&memory, alignment, max(bytes, 1)) == 0, let memory else { return nil }
    memset(memory, 0, bytes)
    return UnsafeMutableRawBufferPointer(start: memory, count: bytes)
  }

  /// Gives memory of ``reserve(_:)`` back.
  static func free(_ memory: UnsafeMutableRawBufferPointer) {
    #if canImport(Glibc)
      Glibc.free(memory.baseAddress)
    #elseif canImport(Musl)
      Musl.free(memory.baseAddress)
    #elseif canImport(Darwin)
      Darwin.free(memory.baseAddress)
    #endif
  }
}
