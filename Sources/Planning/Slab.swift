import Devices
import Tensors

/// Weights that share one buffer below the device's largest allocation.
struct Slab {
  let id: BufferID
  private(set) var content: [(weight: Weight, region: Region)] = []
  private(set) var bytes = 0
  private let alignment: Int
  private let limit: Int

  init(id: BufferID, _ traits: DeviceTraits) {
    self.id = id
    alignment = traits.alignment
    // Whole units, so that rounding the last weight up does not pass the limit.
    limit = traits.largestAllocation / alignment * alignment
  }

  /// Whether a weight of that size fits; an empty slab takes any, and the plan refuses it later.
  func holds(_ size: Int) -> Bool { content.isEmpty || size <= limit - bytes }

  /// Puts a weight behind the others.
  mutating func append(_ weight: Weight, _ size: Int) -> Region {
    let region = Region(buffer: id, offset: bytes)
    content.append((weight, region))
    bytes += (size + alignment - 1) / alignment * alignment
    return region
  }
}
