import CPUKernels
package import Devices

#if canImport(Glibc)
  import Glibc
#endif

extension CPUDevice {
  package func measureRoofline() throws(DeviceError) -> Roofline? {
    let chunk = 1 << 20
    var memory = HostMemory(device: traits.name)
    let region = Region(buffer: BufferID(index: 0))
    let size = Roofline.bytes(beyondCache: Self.lastCache)
    try memory.allocate(region.buffer, bytes: size, label: "measuring the device")
    let bytes = memory.bytes(region)
    // All of it is written to: fresh pages are one page of zeros, which a cache holds. The first are
    // factors of the chains, which stay finite.
    bytes.withMemoryRebound(to: Float.self) { $0.update(repeating: 0.5) }

    func rate(_ kind: cpu_probe_kind, chunks: Int) -> Double {
      var results = [UInt32](repeating: 0, count: chunks)
      return results.withUnsafeMutableBufferPointer { results in
        var arguments = cpu_probe_arguments(
          bytes: bytes.baseAddress, chunk_bytes: chunk, chunks: chunks, rounds: 200_000,
          results: results.baseAddress)
        let work = cpu_probe_work(instructions.kernels, kind, &arguments)
        return Roofline.rate(of: work) {
          cpu_probe(instructions.kernels, threads.handle, kind, &arguments)
        }
      }
    }
    return Roofline(
      bandwidth: rate(CPU_PROBE_READ, chunks: size / chunk),
      floatRate: rate(CPU_PROBE_FLOAT, chunks: threads.count * 4),
      integerRate: rate(CPU_PROBE_INT8, chunks: threads.count * 4))
  }

  /// Bytes of the last cache, or 0 where nobody says.
  private static var lastCache: Int {
    #if canImport(Glibc)
      Int(max(0, sysconf(Int32(_SC_LEVEL3_CACHE_SIZE))))
    #else
      0
    #endif
  }
}
