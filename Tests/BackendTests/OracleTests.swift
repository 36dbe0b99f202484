import Devices
import ModelGraph
import ReferenceBackend
import Tensors
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The reference against the formulas of the papers in double precision: who checks the oracle.
@Suite struct OracleTests {
  private func numbers(_ count: Int, seed: UInt32 = 1) -> [Float] {
    var state = seed
    return (0..<count).map { _ in
      state = state &* 1_664_525 &+ 1_013_904_223
      return (Float(state >> 8) / Float(1 << 24) - 0.5) * 6
    }
  }

  /// Runs one operation on the reference.
  private func run(
    _ operation: Operation, _ inputs: [([UInt8], width: Int, Format)], weights: [[UInt8]] = [],
    rows: Int, width: Int
  ) throws -> [Float] {
    let device = ReferenceDevice()
    func place(_ bytes: [UInt8], _ index: Int) throws -> Region {
      let region = Region(buffer: BufferID(index: index))
      try device.allocate(region.buffer, bytes: bytes.count, label: "test")
      try bytes.withUnsafeBytes { try device.write($0, to: region) }
      return region
    }
    let operands = try inputs.enumerated().map { index, input in
      Operand(
        region: try place(input.0, index),
        rows: .fixed(input.0.count / input.2.rowBytes(input.width)), width: input.width,
        format: input.2)
    }
    let regions = try weights.enumerated().map { try place($1, inputs.count + $0) }
    let output = try place([UInt8](repeating: 0, count: rows * width * 4), 100)
    try device.run(
      [
        Instruction(
          operation, inputs: operands, weights: regions,
          output: Operand(region: output, rows: .symbol(.rows), width: width, format: .f32),
          label: "test")
      ], sizes: SymbolSizes(rows: rows, outputs: rows))
    var result = [Float](repeating: 0, count: rows * width)
    try result.withUnsafeMutableBytes { try device.read(output, into: $0) }
    return result
  }

  private func bytes<T: BitwiseCopyable>(_ values: [T]) -> [UInt8] {
    values.withUnsafeBytes { Array($0) }
  }

  private func expectClose(_ actual: [Float], _ exact: [Double], _ bound: Double = 1e-12) {
    var difference = 0.0
    var power = 0.0
    for (a, b) in zip(actual, exact) {
      difference += (Double(a) - b) * (Double(a) - b)
      power += b * b
    }
    #expect(actual.count == exact.count && power > 0)
    #expect(difference / power < bound)
  }

  @Test func rmsNorm() throws {
    let (x, w) = (numbers(3 * 77), numbers(77, seed: 5))
    let weight = try #require(Weight(name: "w", type: .f32, rows: 1, width: 77))
    let actual = try run(
      .pure(.rmsNorm(RMSNorm(weight: weight, epsilon: 1e-5))), [(bytes(x), 77, .f32)],
      weights: [bytes(w)], rows: 3, width: 77)
    let exact = (0..<3).flatMap { row in
      let part = x[row * 77..<(row + 1) * 77].map(Double.init)
      let mean = part.reduce(0) { $0 + $1 * $1 } / 77
      return zip(part, w).map { $0 / (mean + 1e-5).squareRoot() * Double($1) }
    }
    expectClose(actual, exact)
  }

  @Test func rmsNormOfHeads() throws {
    let (x, w) = (numbers(2 * 66), numbers(22, seed: 5))
    let weight = try #require(Weight(name: "w", type: .f32, rows: 1, width: 22))
    let actual = try run(
      .pure(.rmsNorm(RMSNorm(weight: weight, epsilon: 1e-6))), [(bytes(x), 66, .f32)],
      weights: [bytes(w)], rows: 2, width: 66)
    let exact = (0..<6).flatMap { head in
      let part = x[head * 22..<(head + 1) * 22].map(Double.init)
      let mean = part.reduce(0) { $0 + $1 * $1 } / 22
      return zip(part, w).map { $0 / (mean + 1e-6).squareRoot() * Double($1) }
    }
    expectClose(actual, exact)
  }

  @Test func embeddingsAreScaled() throws {
    let table = numbers(3 * 5)
    let weight = try #require(Weight(name: "table", type: .f32, rows: 3, width: 5))
    let actual = try run(
      .pure(.embedRows(EmbedRows(table: weight, scale: 25.3))),
      [(bytes([Int32(2), 0]), 1, .i32)], weights: [bytes(table)], rows: 2, width: 5)
    expectClose(actual, (table[10...] + table[..<5]).map { Double($0) * Double(Float(25.3)) })
  }

  @Test(arguments: GatedActivation.allCases)
  func gated(activation: GatedActivation) throws {
    let (gate, up) = (numbers(500).map { $0 * 12 }, numbers(500, seed: 9))
    // Small gates too, where the two activations differ most.
    for gate in [gate, gate.map { $0 / 20 }] {
      let actual = try run(
        .pure(.gated(activation)), [(bytes(gate), 500, .f32), (bytes(up), 500, .f32)], rows: 1,
        width: 500)
      let exact = zip(gate, up).map { gate, up in
        let x = Double(gate)
        switch activation {
        case .silu: return x / (1 + exp(-x)) * Double(up)
        case .gelu:
          let z = (2 / Double.pi).squareRoot() * (x + 0.044_715 * x * x * x)
          return 0.5 * x * (1 + tanh(z)) * Double(up)
        }
      }
      expectClose(actual, exact)
    }
  }

  @Test func ropeTurnsPairs() throws {
    let x = numbers(4 * 8)
    let frequencies: [Float] = [1, 0.1, 0.01, 0.001]
    let positions: [Int32] = [0, 1, 4000, 8191]
    let rope = Rope(
      headCount: 1, headWidth: 8, dimensions: 8, pairing: .adjacent,
      frequencies: ConstantID(index: 0), magnitude: 1.25)
    let actual = try run(
      .pure(.rope(rope)), [(bytes(x), 8, .f32), (bytes(positions), 1, .i32)],
      weights: [bytes(frequencies)], rows: 4, width: 8)
    let exact = (0..<4).flatMap { row in
      (0..<4).flatMap { i -> [Double] in
        let angle = Double(Float(positions[row]) * frequencies[i])
        let (a, b) = (Double(x[row * 8 + 2 * i]), Double(x[row * 8 + 2 * i + 1]))
        return [
          1.25 * (a * cos(angle) - b * sin(angle)), 1.25 * (a * sin(angle) + b * cos(angle)),
        ]
      }
    }
    expectClose(actual, exact)
  }

  @Test(arguments: ElementType.allCases.filter(\.isQuantized))
  func linearWithInt8(type: ElementType) throws {
    let (rows, outputs, inputs) = (2, 5, 768)
    let weight = try #require(Weight(name: "w", type: type, rows: outputs, width: inputs))
    let stored = type.encoded(numbers(outputs * inputs, seed: 3))
    let x = numbers(rows * inputs)
    var int8 = [UInt8](repeating: 0, count: rows * Int8Activations.rowBytes(inputs))
    let stride = Int8Activations.rowBytes(inputs)
    int8.withUnsafeMutableBytes { target in
      x.withUnsafeBufferPointer { source in
        for row in 0..<rows {
          Int8Activations.quantize(
            UnsafeBufferPointer(rebasing: source[row * inputs..<(row + 1) * inputs]),
            into: UnsafeMutableRawBufferPointer(rebasing: target[(row * stride)...]))
        }
      }
    }
    let actual = try run(
      .pure(.linear(Linear(weight: weight, activations: .int8))), [(int8, inputs, .int8Blocks)],
      weights: [stored], rows: rows, width: outputs)
    let w = stored.withUnsafeBytes { type.decoded($0, count: outputs * inputs) }
    var rounded: [Float] = []
    for t in 0..<rows {
      for k in 0..<inputs {
        int8.withUnsafeBytes { raw in
          let q = raw.load(fromByteOffset: t * stride + k, as: Int8.self)
          let at = t * stride + inputs + k / 32 * 4
          rounded.append(Float(q) * raw.load(fromByteOffset: at, as: Float.self))
        }
      }
    }
    expectClose(actual, product(rounded, w, inputs: inputs))
    // And int8 is close to what the floats would give: a hundredth, not more.
    expectClose(actual, product(x, w, inputs: inputs), 1e-3)
  }

  /// x Wᵀ in double precision.
  private func product(_ x: [Float], _ w: [Float], inputs: Int) -> [Double] {
    var result: [Double] = []
    for t in 0..<x.count / inputs {
      for n in 0..<w.count / inputs {
        var sum = 0.0
        for k in 0..<inputs { sum += Double(x[t * inputs + k]) * Double(w[n * inputs + k]) }
        result.append(sum)
      }
    }
    return result
  }

  /// Within a window, over windows, and over spans that begin and end anywhere.
  @Test(arguments: [7..<9, 7..<93, 0..<512, 511..<513, 300..<1100, 1024..<1100])
  func attention(seen: Range<Int>) throws {
    let (width, tokens) = (8, 1100)
    let layout = KVLayout(headCount: 1, headWidth: width, element: .f32)
    let (keys, values, query) = (
      numbers(tokens * width), numbers(tokens * width, seed: 2), numbers(width, seed: 3)
    )
    let pages = (tokens + 15) / 16
    var pool = [Float](repeating: .nan, count: pages * 2 * layout.halfBlock)
    for token in 0..<tokens {
      let block = token / 16 * 2 * layout.halfBlock
      for d in 0..<width {
        pool[block + d * 16 + token % 16] = keys[token * width + d]
        pool[block + layout.halfBlock + token % 16 * width + d] = values[token * width + d]
      }
    }
    let attention = Attention(headCount: 1, kvHeadCount: 1, headWidth: width, scale: 0.35)
    let (begin, end) = (seen.lowerBound, seen.upperBound)
    let actual = try run(
      .attend(attention, layout),
      [
        (bytes(query), width, .f32), (bytes(pool), 1, .pages(layout)),
        (bytes([Int32(begin)]), 1, .i32), (bytes([Int32(end)]), 1, .i32),
        (bytes([Int32(0)]), 1, .i32), (bytes((0..<pages).map { Int32($0) }), 1, .i32),
      ], rows: 1, width: width)
    var total = 0.0
    var exact = [Double](repeating: 0, count: width)
    for token in begin..<end {
      var score = 0.0
      for d in 0..<width { score += Double(query[d]) * Double(keys[token * width + d]) }
      let weight = exp(score * 0.35)
      total += weight
      for d in 0..<width { exact[d] += weight * Double(values[token * width + d]) }
    }
    expectClose(actual, exact.map { $0 / total })
  }
}
