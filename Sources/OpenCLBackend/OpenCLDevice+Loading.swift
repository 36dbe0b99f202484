import COpenCL
package import Devices
package import Tensors

/// A buffer that is mapped to be written by the host.
struct OpenBuffer {
  let id: BufferID
  let bytes: UnsafeMutableRawBufferPointer
}

// Weights on their way into the device's own layout.
extension OpenCLDevice {
  /// Whether the host writes where kernels read. A driver of a real device might keep as much memory
  /// again for a buffer that is mapped.
  private var loadsInPlace: Bool { description.isCPU }

  package func stagingBytes(_ weight: Weight, rows: Int) -> Int {
    if loadsInPlace || ResidentLayout(weight.type) == nil { return 0 }
    return ResidentLayout.bytes(weight.part(rows: rows))
  }

  package func load(
    _ weight: Weight, rows: Range<Int>, _ bytes: UnsafeRawBufferPointer, to region: Region
  ) throws(DeviceError) {
    let part = weight.part(rows: rows.count)
    precondition(bytes.count == part.bytes, "\(weight.name) has other bytes than its shape")
    // Tiles follow one another, so those in front of a part are as long as a weight of those rows.
    let front = rows.lowerBound == 0 ? 0 : residentBytes(weight.part(rows: rows.lowerBound))
    let target = Region(buffer: region.buffer, offset: region.offset + front)
    let layout = ResidentLayout(part.type)
    if loadsInPlace {
      let memory = try opened(target, bytes: residentBytes(part))
      guard let layout else { return memory.copyMemory(from: bytes) }
      return layout.write(part, bytes, threads: max(1, computeUnits), to: memory)
    }
    guard let layout else { return try write(bytes, to: target) }
    let tiles = [UInt8](unsafeUninitializedCapacity: residentBytes(part)) { buffer, initialized in
      initialized = buffer.count
      layout.write(
        part, bytes, threads: max(1, computeUnits), to: UnsafeMutableRawBufferPointer(buffer))
    }
    ledger.stage(tiles.count)
    let result = tiles.withUnsafeBytes { bytes in
      Result { () throws(DeviceError) in try write(bytes, to: target) }
    }
    try result.get()
  }

  /// The memory of a region. Its buffer stays mapped, as a rule more weights follow.
  private func opened(
    _ region: Region, bytes: Int
  ) throws(DeviceError) -> UnsafeMutableRawBufferPointer {
    let memory: UnsafeMutableRawBufferPointer
    if let known = open.first(where: { $0.id == region.buffer }) {
      memory = known.bytes
    } else {
      let buffer = buffer(region.buffer)
      var status = CL_SUCCESS
      let raw = apus_cl_map_buffer(queue.raw, buffer.raw, buffer.bytes, &status)
      memory = UnsafeMutableRawBufferPointer(
        start: try calls.made(
          raw, status, "clEnqueueMapBuffer", "buffer \(region.buffer.index)"),
        count: buffer.bytes)
      HostMemory.preferLargePages(memory)
      open.append(OpenBuffer(id: region.buffer, bytes: memory))
    }
    return UnsafeMutableRawBufferPointer(rebasing: memory[region.offset..<region.offset + bytes])
  }

  /// Gives buffers back to the device that the host has written into; to be called before any other
  /// command.
  func closeBuffers() throws(DeviceError) {
    var failure: DeviceError?
    while let last = open.popLast() {
      isBusy = true
      do throws(DeviceError) {
        try calls.check(
          apus_cl_unmap_buffer(queue.raw, buffer(last.id).raw, last.bytes.baseAddress),
          "clEnqueueUnmapMemObject", "buffer \(last.id.index)")
      } catch { failure = failure ?? error }
    }
    if let failure { throw failure }
  }
}
