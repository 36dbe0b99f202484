import Devices
import ModelGraph
import Tensors

/// An instruction with the addresses of its operands, which hold as long as memory lies where it does. Making one
/// allocates nothing.
///
/// The weights of a fused one are those of its parts, in their order.
struct BoundInstruction: ~Copyable {
  /// Where it lies: to copy one takes longer than many run.
  let instruction: UnsafePointer<Instruction>
  private let sizes: SymbolSizes
  private var inputBytes: Places
  private let weightBytes: Places
  private let mappedWeights: InlineArray<8, Bool>
  private let outputBytes: UnsafeMutableRawBufferPointer
  /// Scratch memory for the parts of attention, and how many rows and spans it is meant for.
  let workspace: (address: UnsafeMutableRawPointer, rows: Int, spans: Int)?

  /// As many places as an operation has inputs, or weights and constants, at most.
  private typealias Places = InlineArray<8, UnsafeMutableRawBufferPointer>

  /// Looks the operands up; one that reaches beyond its buffer is the plan's mistake.
  init(
    _ place: UnsafePointer<Instruction>, sizes: SymbolSizes, memory: borrowing HostMemory
  ) {
    func bytes(_ operand: Operand) -> UnsafeMutableRawBufferPointer {
      let bytes = memory.bytes(operand.region)
      precondition(
        bytes.count >= operand.bytes(sizes),
        "'\(place.pointee.label)' reaches beyond its buffer")
      return bytes
    }
    instruction = place
    self.sizes = sizes
    let nowhere = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    inputBytes = Places(repeating: nowhere)
    for index in place.pointee.inputs.indices {
      inputBytes[index] = bytes(place.pointee.inputs[index])
    }
    var weightBytes = Places(repeating: nowhere)
    var mappedWeights = InlineArray<8, Bool>(repeating: false)
    var count = 0
    func bind(_ regions: [Region]) {
      for region in regions {
        weightBytes[count] = memory.bytes(region)
        mappedWeights[count] = memory.isMapped(region.buffer)
        count += 1
      }
    }
    bind(place.pointee.weights)
    for index in place.pointee.expansion.indices { bind(place.pointee.expansion[index].weights) }
    (self.weightBytes, self.mappedWeights) = (weightBytes, mappedWeights)
    outputBytes = bytes(place.pointee.output)
    workspace = place.pointee.workspace == nil ? nil : Self.workspace(place.pointee, sizes, memory)
  }

  var inputs: [Operand] { instruction.pointee.inputs }
  var output: Operand { instruction.pointee.output }

  /// A step may be smaller than the plan's bounds, but then it needs no more than its own sizes do.
  private static func workspace(
    _ instruction: Instruction, _ sizes: SymbolSizes, _ memory: borrowing HostMemory
  ) -> (UnsafeMutableRawPointer, Int, Int)? {
    guard let region = instruction.workspace,
      let parts = AttentionParts(instruction, bounds: sizes)
    else { return nil }
    let bytes = memory.bytes(region)
    precondition(bytes.count >= parts.bytes, "'\(instruction.label)' lacks scratch memory")
    return bytes.baseAddress.map { ($0, parts.rows, parts.spans) }
  }

  /// Rows of the output, or of the first input where the output's rows are pages.
  var rows: Int {
    sizes[output.format.countsPages ? inputs[0].rows : output.rows]
  }

  func rows(input index: Int) -> Int { rows(inputs[index]) }

  func rows(_ operand: Operand) -> Int { sizes[operand.rows] }

  func bytes(input index: Int) -> UnsafeMutableRawPointer? { inputBytes[index].baseAddress }

  func floats(input index: Int) -> UnsafePointer<Float>? {
    UnsafePointer(inputBytes[index].baseAddress?.assumingMemoryBound(to: Float.self))
  }

  func integers(input index: Int) -> UnsafePointer<Int32>? {
    UnsafePointer(inputBytes[index].baseAddress?.assumingMemoryBound(to: Int32.self))
  }

  /// A weight or constant of `count` bytes.
  func weight(_ index: Int, bytes count: Int) -> UnsafeRawPointer? {
    precondition(weightBytes[index].count >= count, "a weight reaches beyond its buffer")
    return UnsafeRawPointer(weightBytes[index].baseAddress)
  }

  /// A matrix as kernels take it: of floats as in the file, and else in tiles, unless it is mapped.
  func matrix(_ index: Int, _ weight: Weight) -> (start: UnsafeRawPointer?, isTiled: Bool) {
    let isTiled = weight.type.isQuantized && !mappedWeights[index]
    return (self.weight(index, bytes: isTiled ? weight.tileBytes : weight.bytes), isTiled)
  }

  func floatWeight(_ index: Int, count: Int) -> UnsafePointer<Float>? {
    weight(index, bytes: count * MemoryLayout<Float>.stride)?.assumingMemoryBound(to: Float.self)
  }

  var outputAddress: UnsafeMutableRawPointer? { outputBytes.baseAddress }

  var floatOutput: UnsafeMutablePointer<Float>? {
    outputBytes.baseAddress?.assumingMemoryBound(to: Float.self)
  }
}
