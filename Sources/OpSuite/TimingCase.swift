package import Devices
import ModelGraph
import Tensors

/// An operation at the size that it has in a real model, to be timed. Data means nothing; it is finite.
package struct TimingCase: Sendable {
  /// Whose layer it is and its shape: `SmolLM2 ffn_up, 1 × 576 → 1536`.
  package let title: String
  package let operation: Operation
  package let rows: Int
  let inputWidth: Int
  let outputWidth: Int
  /// The tokens that the last row of attention sees; 0 elsewhere.
  let tokens: Int

  /// Bytes that are read in turns, so that weights and pages come from memory, as they do while a model
  /// generates: more than the last cache of most processors.
  private static let coldBytes = 1 << 27
  /// How long a case is measured at least, in nanoseconds.
  private static let span: Int64 = 200_000_000

  package var key: OperationKey { OperationKey(operation, input: inputFormat) }

  package var inputFormat: Format {
    guard case .pure(.linear(let layer)) = operation else { return .f32 }
    return layer.activations == .int8 ? .int8Blocks : .f32
  }

  /// How fast a device was.
  package struct Timing: Sendable {
    /// Of one launch: the median of the rounds.
    package var seconds: Double
    package var work: Work
  }

  /// Times the case on a device: rounds of launches, each on weights or pages of its own.
  ///
  /// - Returns: How long a launch took, or nil where the device declines the operation.
  package func time(on device: any Device) throws(DeviceError) -> Timing? {
    guard let rounds = try rounds(on: device) else { return nil }
    defer { rounds.release() }
    _ = try rounds.run()
    var durations: [Double] = []
    let start = HostClock.now()
    while durations.count < 3 || HostClock.now() - start < Self.span {
      durations.append(try rounds.run())
    }
    durations.sort()
    return Timing(seconds: durations[durations.count / 2], work: rounds.work)
  }

  /// The case with its memory on a device, to be run as often as wanted; nil where the device declines the
  /// operation. Buffers get ids from `first` on, a thousand at most.
  package func rounds(
    on device: any Device, firstBuffer first: Int = 0
  ) throws(DeviceError) -> Rounds? {
    if case .declined = device.support(operation, input: inputFormat) { return nil }
    var bench = Bench(device, first: first)
    do throws(DeviceError) {
      let instructions = try bench.instructions(of: self, coldBytes: Self.coldBytes)
      if let first = instructions.first {
        let sizes = SymbolSizes(rows: rows, outputs: 0)
        let work = operation.work(
          inputs: first.inputs, output: first.output, sizes: sizes, sight: sight)
        return Rounds(bench: bench, instructions: instructions, sizes: sizes, work: work)
      }
    } catch {
      bench.release()
      throw error
    }
    bench.release()
    return nil
  }

  /// Launches of a case, ready to run.
  package struct Rounds {
    fileprivate let bench: Bench
    fileprivate let instructions: [Instruction]
    fileprivate let sizes: SymbolSizes
    /// What one launch costs at the least.
    package let work: Work

    /// Seconds of a launch: all of them are run once.
    package func run() throws(DeviceError) -> Double {
      let before = HostClock.now()
      try bench.device.run(instructions, sizes: sizes)
      try bench.wait(for: instructions[0].output)
      return Double(HostClock.now() - before) * 1e-9 / Double(instructions.count)
    }

    /// Gives the memory back.
    package func release() { bench.release() }
  }

  private var sight: Sight {
    Sight(begin: begin, end: end, table: [Int32](repeating: 0, count: rows))
  }

  fileprivate var begin: [Int32] { [Int32](repeating: 0, count: rows) }
  fileprivate var end: [Int32] { (0..<rows).map { Int32(max(1, tokens - rows + $0 + 1)) } }
}

/// Memory on a device for one case.
private struct Bench {
  let device: any Device
  private let first: Int
  private var buffers: [BufferID] = []

  init(_ device: any Device, first: Int) { (self.device, self.first) = (device, first) }

  func release() { for buffer in buffers { device.release(buffer) } }

  /// Waits until what was submitted has been done, by reading its last result.
  func wait(for output: Operand) throws(DeviceError) {
    var word: UInt32 = 0
    var failure: DeviceError?
    withUnsafeMutableBytes(of: &word) { bytes in
      do throws(DeviceError) { try device.read(output.region, into: bytes) } catch {
        failure = error
      }
    }
    if let failure { throw failure }
  }

  /// Launches that do the same on different data.
  mutating func instructions(
    of test: TimingCase, coldBytes: Int
  ) throws(DeviceError) -> [Instruction] {
    let rows = Dimension.symbol(.rows)
    let output = Operand(
      region: try place([], capacity: test.rows * test.outputWidth * 4), rows: rows,
      width: test.outputWidth, format: .f32)
    func instruction(_ inputs: [Operand], _ weights: [Region]) -> Instruction {
      Instruction(test.operation, inputs: inputs, weights: weights, output: output, label: "case")
    }
    switch test.operation {
    case .pure(.linear(let layer)):
      let format: Format = layer.activations == .int8 ? .int8Blocks : .f32
      let input = Operand(
        region: try place(test.activations(format)), rows: rows, width: test.inputWidth,
        format: format)
      let stride = aligned(device.residentBytes(layer.weight))
      let copies = test.rows > 1 ? 1 : Self.copies(of: stride, coldBytes, device.traits)
      let slab = try place([], capacity: copies * stride)
      let bytes = layer.weight.type.repeatedBytes(layer.weight.rows * layer.weight.width)
      return try (0..<copies).map { copy throws(DeviceError) in
        let region = Region(buffer: slab.buffer, offset: copy * stride)
        try load(layer.weight, bytes, to: region)
        return instruction([input], [region])
      }
    case .attend(_, let layout):
      let pages = (test.tokens + KVLayout.pageTokens - 1) / KVLayout.pageTokens
      let pool = pages * layout.pageBytes
      let copies = test.rows > 1 ? 1 : Self.copies(of: pool, coldBytes, device.traits)
      let query = Operand(
        region: try place(test.activations(.f32)), rows: rows, width: test.inputWidth, format: .f32)
      func integers(_ values: [Int32], _ rows: Dimension) throws(DeviceError) -> Operand {
        Operand(region: try place(rawBytes(values)), rows: rows, width: 1, format: .i32)
      }
      let begin = try integers(test.begin, rows)
      let end = try integers(test.end, rows)
      // Halves may be scales and codes too.
      let isSingle = layout.element == .f32
      let bytes = (isSingle ? ElementType.f32 : .f16).repeatedBytes(
        copies * pool / (isSingle ? 4 : 2))
      let region = try place(bytes)
      let tables = try integers((0..<Int32(copies * pages)).map { $0 }, .fixed(copies * pages))
      return try (0..<copies).map { copy throws(DeviceError) in
        let table = try integers(
          [Int32](repeating: Int32(copy * pages), count: test.rows), rows)
        let keys = Operand(
          region: region, rows: .fixed(copies * pages), width: 1, format: .pages(layout))
        return instruction([query, keys, begin, end, table, tables], [])
      }
    default: return []
    }
  }

  private static func copies(of bytes: Int, _ coldBytes: Int, _ traits: DeviceTraits) -> Int {
    max(1, min(coldBytes, traits.largestAllocation) / max(1, bytes))
  }

  private func aligned(_ bytes: Int) -> Int {
    (bytes + device.traits.alignment - 1) / device.traits.alignment * device.traits.alignment
  }

  /// A buffer of its own with these bytes at its beginning.
  private mutating func place(
    _ bytes: [UInt8], capacity: Int? = nil
  ) throws(DeviceError) -> Region {
    let id = BufferID(index: first + buffers.count)
    try device.allocate(id, bytes: aligned(capacity ?? bytes.count), label: "timing")
    buffers.append(id)
    let region = Region(buffer: id)
    if bytes.isEmpty { return region }
    var failure: DeviceError?
    bytes.withUnsafeBytes { source in
      do throws(DeviceError) { try device.write(source, to: region) } catch { failure = error }
    }
    if let failure { throw failure }
    return region
  }

  private func load(
    _ weight: Weight, _ bytes: [UInt8], to region: Region
  ) throws(DeviceError) {
    var failure: DeviceError?
    bytes.withUnsafeBytes { source in
      do throws(DeviceError) { try device.load(weight, source, to: region) } catch {
        failure = error
      }
    }
    if let failure { throw failure }
  }
}

extension TimingCase {
  /// Rows of the input in its format.
  fileprivate func activations(_ format: Format) -> [UInt8] {
    var data = CaseData(seed: inputWidth)
    let row = data.floats(inputWidth)
    let x = (0..<rows).flatMap { _ in row }
    return format == .int8Blocks ? OpSuite.int8Rows(x, width: inputWidth) : rawBytes(x)
  }
}

extension ElementType {
  /// Elements of this type that repeat after a while: random numbers for gigabytes take minutes.
  fileprivate func repeatedBytes(_ count: Int) -> [UInt8] {
    var data = CaseData(seed: Int(rawValue))
    let length = (1 << 16) + blockLength
    let pattern = data.weights(self, length / blockLength * blockLength, scale: 0.02)
    let wanted = count / blockLength * blockBytes
    return [UInt8](unsafeUninitializedCapacity: wanted) { target, filled in
      pattern.withUnsafeBufferPointer { source in
        while filled < wanted {
          let part = min(source.count, wanted - filled)
          for index in 0..<part { target[filled + index] = source[index] }
          filled += part
        }
      }
    }
  }
}

extension OpSuite {
  /// A model of which shapes are taken.
  private struct Shape {
    var name: String
    var width: Int
    var heads: (count: Int, kv: Int, width: Int)
    var feedForward: Int
    /// Outputs of the head, or 0 to leave it out.
    var vocabulary: Int
  }

  private static let shapes = [
    Shape(
      name: "SmolLM2", width: 576, heads: (9, 3, 64), feedForward: 1536, vocabulary: 49_152),
    Shape(name: "Qwen 0.5B", width: 896, heads: (14, 2, 64), feedForward: 4864, vocabulary: 0),
    Shape(name: "Qwen 1.5B", width: 1536, heads: (12, 2, 128), feedForward: 8960, vocabulary: 0),
  ]

  /// Linear layers of each type, for one token and for a prompt, and attention at several depths.
  package static var timingCases: [TimingCase] {
    shapes.flatMap { shape in
      ElementType.allCases.flatMap { type in
        [1, 512].flatMap { rows in linearTimings(shape, type, rows: rows) }
      }
        + [(1, 512), (1, 2048), (1, 7000), (512, 512), (512, 2048)].map { rows, tokens in
          attendTiming(shape, rows: rows, tokens: tokens)
        }
    }
  }

  private static func linearTimings(
    _ shape: Shape, _ type: ElementType, rows: Int
  ) -> [TimingCase] {
    var layers = [
      ("attn_k", shape.width, shape.heads.kv * shape.heads.width),
      ("attn_q", shape.width, shape.heads.count * shape.heads.width),
      ("ffn_up", shape.width, shape.feedForward), ("ffn_down", shape.feedForward, shape.width),
    ]
    // Of a prompt only the last row goes through the head.
    if shape.vocabulary > 0, rows == 1 { layers.append(("output", shape.width, shape.vocabulary)) }
    return layers.compactMap { label, inputs, outputs in
      guard let weight = Weight(name: label, type: type, rows: outputs, width: inputs)
      else { return nil }
      return TimingCase(
        title: "\(shape.name) \(label), \(rows) × \(inputs) → \(outputs)",
        operation: .pure(.linear(Linear(weight: weight, activations: .int8))), rows: rows,
        inputWidth: inputs, outputWidth: outputs, tokens: 0)
    }
  }

  private static func attendTiming(_ shape: Shape, rows: Int, tokens: Int) -> TimingCase {
    let heads = shape.heads
    let attention = Attention(
      headCount: heads.count, kvHeadCount: heads.kv, headWidth: heads.width,
      scale: 1 / Float(heads.width).squareRoot())
    let layout = KVLayout(headCount: heads.kv, headWidth: heads.width, element: .f16)
    return TimingCase(
      title: "\(shape.name) attention, \(rows) of \(tokens)",
      operation: .attend(attention, layout), rows: rows, inputWidth: heads.count * heads.width,
      outputWidth: heads.count * heads.width, tokens: tokens)
  }
}
