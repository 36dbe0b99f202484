/// Buffers of a device that computes in the host's memory: owned ones, and mapped weights.
package struct HostMemory: ~Copyable {
  private struct Block {
    var bytes: UnsafeMutableRawBufferPointer
    var isOwned: Bool
  }

  private let device: String
  /// By the indices of their ids, which planning counts from 0.
  private var blocks: [Block?] = []
  package private(set) var ledger = MemoryLedger()

  /// Addresses of owned buffers are multiples of this.
  package static let alignment = 128

  /// Memory of the named device.
  package init(device: String) { self.device = device }

  deinit {
    for case let block? in blocks where block.isOwned { Self.free(block.bytes) }
  }

  /// Makes a zeroed buffer.
  package mutating func allocate(
    _ id: BufferID, bytes: Int, label: String
  ) throws(DeviceError) {
    precondition(block(id) == nil, "buffer ids are unique")
    guard let memory = Self.reserve(bytes) else {
      throw DeviceError(
        device: device, call: "allocate", status: "out of memory",
        detail: "\(bytes) bytes for \(label); a shorter context (-c) needs less")
    }
    put(Block(bytes: memory, isOwned: true), id)
    ledger.add(bytes)
  }

  /// Forgets what was taken at most before now.
  package mutating func restartLedger() { ledger.restart() }

  /// Makes foreign memory readable under an id.
  package mutating func map(_ bytes: UnsafeRawBufferPointer, as id: BufferID) {
    precondition(block(id) == nil, "buffer ids are unique")
    put(Block(bytes: UnsafeMutableRawBufferPointer(mutating: bytes), isOwned: false), id)
  }

  /// Frees an owned buffer, forgets a mapped one.
  package mutating func release(_ id: BufferID) {
    guard let block = block(id) else { return }
    blocks[id.index] = nil
    guard block.isOwned else { return }
    ledger.remove(block.bytes.count)
    Self.free(block.bytes)
  }

  /// Whether a buffer is foreign memory.
  package func isMapped(_ id: BufferID) -> Bool { block(id)?.isOwned == false }

  /// The memory from a region to the end of its buffer.
  package func bytes(_ region: Region) -> UnsafeMutableRawBufferPointer {
    guard let block = block(region.buffer) else {
      preconditionFailure("buffer \(region.buffer.index) of \(device) does not exist")
    }
    return UnsafeMutableRawBufferPointer(rebasing: block.bytes[region.offset...])
  }

  private func block(_ id: BufferID) -> Block? {
    id.index < blocks.count ? blocks[id.index] : nil
  }

  private mutating func put(_ block: Block, _ id: BufferID) {
    while blocks.count <= id.index { blocks.append(nil) }
    blocks[id.index] = block
  }
}
