import CPUBackend
import Devices
import ModelGraph
import OpenCLBackend
import ReferenceBackend
import Testing

/// How rows are cut into steps, and work into spans, threads and work-groups, changes no bit.
@Suite struct AttentionTests {
  /// The sequence that is attended over: 1100 tokens, so that there are three spans.
  private static let tokens = 1100
  private static let attention = Attention(headCount: 6, kvHeadCount: 2, headWidth: 32, scale: 0.2)
  /// The tokens whose queries are attended for, over all that came before.
  private static let wanted = Array(1020..<1100)

  private static func numbers(_ count: Int, seed: UInt32) -> [Float] {
    var state = seed
    return (0..<count).map { _ in
      state = state &* 1_664_525 &+ 1_013_904_223
      return (Float(state >> 8) / Float(1 << 24) - 0.5) * 6
    }
  }

  /// Pages full of numbers.
  private static func pool(_ layout: KVLayout, pages: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: pages * layout.pageBytes)
    for page in 0..<pages {
      for head in 0..<layout.headCount {
        func tokens(_ seed: Int) -> [[Float]] {
          (0..<KVLayout.pageTokens).map {
            numbers(layout.headWidth, seed: UInt32(((page * 7 + head) * 16 + $0) * 2 + seed))
          }
        }
        bytes.withUnsafeMutableBytes {
          layout.store(
            keys: tokens(0), values: tokens(1), $0, page: page, head: head, pages: pages)
        }
      }
    }
    return bytes
  }

  /// Attends for tokens in the order of `steps`; the result has the order of `wanted`.
  private func attend(
    _ steps: [[Int]], _ element: KVLayout.Element, on device: any Device
  ) throws -> [[Float]] {
    let layout = KVLayout(headCount: 2, headWidth: Self.attention.headWidth, element: element)
    let (heads, width) = (Self.attention.headCount, Self.attention.headWidth)
    let pages = (Self.tokens + KVLayout.pageTokens - 1) / KVLayout.pageTokens
    var next = 0
    defer { for index in 0..<next { device.release(BufferID(index: index)) } }
    func place(_ bytes: [UInt8]) throws -> Region {
      let region = Region(buffer: BufferID(index: next))
      try device.allocate(region.buffer, bytes: bytes.count, label: "test")
      next += 1
      try bytes.withUnsafeBytes { try device.write($0, to: region) }
      return region
    }
    func bytes<T: BitwiseCopyable>(_ values: [T]) -> [UInt8] {
      values.withUnsafeBytes { Array($0) }
    }
    func integers(_ values: [Int]) throws -> Operand {
      Operand(
        region: try place(bytes(values.map { Int32($0) })), rows: .fixed(values.count), width: 1,
        format: .i32)
    }
    let pool = Operand(
      region: try place(Self.pool(layout, pages: pages)), rows: .fixed(pages), width: 1,
      format: .pages(layout))
    let tables = try integers((0..<pages).map { $0 * 37 % pages })
    let queries = Self.numbers(Self.tokens * heads * width, seed: 2)

    var results: [Int: [Float]] = [:]
    for step in steps {
      let rows = step.count
      let q = step.flatMap { queries[$0 * heads * width..<($0 + 1) * heads * width] }
      let output = Operand(
        region: try place([UInt8](repeating: 0xFF, count: rows * heads * width * 4)),
        rows: .symbol(.rows), width: heads * width, format: .f32)
      let sizes = SymbolSizes(
        rows: rows, outputs: rows, depth: (step.max() ?? 0) + 1, runs: rows == 1 ? 1 : nil)
      var instruction = Instruction(
        .attend(Self.attention, layout),
        inputs: [
          Operand(
            region: try place(bytes(q)), rows: .symbol(.rows), width: heads * width, format: .f32),
          pool, try integers(step.map { $0 % 11 * 50 }), try integers(step.map { $0 + 1 }),
          try integers(step.map { _ in 0 }), tables,
        ], output: output, label: "attention")
      let scratch = device.workspaceBytes(instruction, bounds: sizes)
      if scratch > 0 {
        instruction.workspace = try place([UInt8](repeating: 0xFF, count: scratch))
      }
      try device.run([instruction], sizes: sizes)
      var values = [Float](repeating: 0, count: rows * heads * width)
      try values.withUnsafeMutableBytes { try device.read(output.region, into: $0) }
      for (row, token) in step.enumerated() {
        results[token] = Array(values[row * heads * width..<(row + 1) * heads * width])
      }
    }
    return Self.wanted.compactMap { results[$0] }
  }

  private func chunks(of size: Int) -> [[Int]] {
    stride(from: 0, to: Self.wanted.count, by: size).map {
      Array(Self.wanted[$0..<min($0 + size, Self.wanted.count)])
    }
  }

  /// Tokens of 13 places apart follow one another.
  private var shuffled: [Int] {
    Self.wanted.indices.map { Self.wanted[$0 * 13 % Self.wanted.count] }
  }

  private static let elements = [KVLayout.Element.f16, .i16]

  private func expectTheSame(
    _ element: KVLayout.Element, on device: any Device, as expected: [[Float]]
  ) throws {
    for steps in [1, 7, 64, Self.wanted.count].map(chunks) + [[shuffled]] {
      #expect(
        try attend(steps, element, on: device) == expected,
        "\(device.traits.name), steps of \(steps[0].count) rows")
    }
  }

  @Test(arguments: elements) func cutsChangeNoBitOnTheCPU(element: KVLayout.Element) throws {
    let expected = try attend([Self.wanted], element, on: ReferenceDevice())
    #expect(expected.count == Self.wanted.count)
    for instructions in InstructionSet.available {
      for threads in [1, 2, 5] {
        try expectTheSame(
          element, on: CPUDevice(threads: threads, instructions: instructions), as: expected)
      }
    }
  }

  /// Without the drivers that take minutes to build a kernel.
  @Test(
    arguments: OpenCLDevices.list().devices.filter { $0.isCPU && $0.platform != "rusticl" },
    elements)
  func cutsChangeNoBitOnOpenCL(
    _ description: OpenCLDevices.Description, element: KVLayout.Element
  ) throws {
    if description.platform == "Oclgrind" { return }
    let expected = try attend([Self.wanted], element, on: ReferenceDevice())
    try expectTheSame(element, on: try OpenCLDevice(index: description.index), as: expected)
  }
}
