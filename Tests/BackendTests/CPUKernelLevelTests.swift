import CPUBackend
import CPUKernels
import Devices
import OpSuite
import Tensors
import Testing
import WeightTiles

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Every instruction set that this CPU has, against the oracle, the codecs and the portable one.
@Suite struct CPUKernelLevelTests {
  @Test(arguments: InstructionSet.available, [1, 3])
  func passesAllCases(instructions: InstructionSet, threads: Int) {
    // With OpenBLAS on one thread and without it on three: the own kernels serve all else in both.
    let device = CPUDevice(threads: threads, instructions: instructions, blas: threads == 1)
    device.rowsForBLAS = 1
    for row in OpSuite.check(device) {
      #expect(row.failure == nil, "\(row.key), \(device.traits.driver)")
      #expect(row.declined == nil || row.isFused, "\(row.key), \(device.traits.driver)")
    }
  }

  @Test func declinesWhatASelfTestFoundWrong() {
    let key = OperationKey(.quantize, input: .f32)
    let device = CPUDevice(threads: 1, declined: [key: "differs from the reference"])
    #expect(
      device.support(.quantize, input: .f32) == .declined(reason: "differs from the reference"))
    device.declined = [:]
    #expect(device.support(.quantize, input: .f32) != .declined(reason: "there is no kernel"))
  }

  /// Widths of a block, of two, of awkward numbers of both, of real models, and one that takes two turns.
  private static let widths = [32, 64, 96, 256, 544, 576, 1280, 1536, 16_896]

  /// Rows and outputs. So long a row meets as many outputs as are read side by side, and some behind them.
  private static func shapes(width: Int) -> [(Int, Int)] {
    width > 10_000
      ? [(1, 82)] : [(1, 1), (1, 35), (2, 4), (5, 33), (6, 17), (9, 16), (31, 34)]
  }

  @Test(arguments: levels, ElementType.allCases)
  func multipliesLikeTheCodecs(level: Level, type: ElementType) {
    for width in Self.widths where width % type.blockLength == 0 {
      for (rows, outputs) in Self.shapes(width: width) {
        var random = Numbers(seed: UInt64(width + rows * 7 + outputs))
        let weights = type.randomBytes(outputs * width, peak: 1) { random.next() }
        let x = random.floats(rows * width)
        let decoded = weights.withUnsafeBytes { type.decoded($0, count: outputs * width) }
        let floats = linear(
          level, type, weights, outputs: outputs, width: width, rows: rows, input: x)
        let shape = "\(level) \(type.name) \(rows) × \(width) × \(outputs)"
        let wanted = product(x, decoded, rows: rows, width: width, outputs: outputs)
        #expect(error(floats, wanted) < 1e-11, "\(shape)")
        guard type.isQuantized else { continue }
        let blocks = int8Blocks(x, rows: rows, width: width)
        let integers = linear(
          level, type, weights, outputs: outputs, width: width, rows: rows, isInt8: true,
          input: blocks.bytes)
        let rounded = product(blocks.values, decoded, rows: rows, width: width, outputs: outputs)
        #expect(error(integers, rounded) < 1e-11, "\(shape), int8")
        // What suits the cores of the other maker.
        let suited = cpu_suit_intel(true)
        cpu_suit_intel(!suited)
        let others = linear(
          level, type, weights, outputs: outputs, width: width, rows: rows, isInt8: true,
          input: blocks.bytes)
        cpu_suit_intel(suited)
        #expect(others == integers, "\(shape), int8 on other cores")
      }
    }
  }

  /// Largest weights against largest activations: sums of pairs must not saturate.
  @Test(arguments: levels, ElementType.allCases.filter(\.isQuantized))
  func extremesDoNotSaturate(level: Level, type: ElementType) throws {
    let format = try #require(type.format)
    let structure = format.structure
    let width = 2 * structure.length
    let scales = structure.groupScales ?? 1...1
    for (code, scale) in [
      (0, scales.upperBound), (255, scales.lowerBound), (255, scales.upperBound),
    ] {
      let code = UInt8(code & (1 << structure.codeBits - 1))
      var parts = BlockParts()
      parts.scale = 1
      parts.codes = .init(repeating: code)
      parts.scales = .init(repeating: Int8(scale))
      var block = [UInt8](repeating: 0, count: type.blockBytes)
      try block.withUnsafeMutableBytes { try format.pack(parts, into: #require($0.baseAddress)) }
      for x in [-127, 127] {
        var input = [UInt8](repeating: UInt8(truncatingIfNeeded: x), count: width)
        for value in [Float(1), Float(x * 32)] {
          for _ in 0..<width / 32 { input += withUnsafeBytes(of: value) { [UInt8]($0) } }
        }
        for rows in [1, 8] {
          let repeated = Array(repeatElement(input, count: rows).joined())
          let result = linear(
            level, type, block + block, outputs: 1, width: width, rows: rows, isInt8: true,
            input: repeated)
          let wanted = Float(structure.integer(code) * scale * x * width)
          #expect(result == [Float](repeating: wanted, count: rows))
        }
      }
    }
  }

  /// The last tensor of a file may end where the mapping does.
  @Test(arguments: levels, ElementType.allCases)
  func readsNothingBeyondTheWeights(level: Level, type: ElementType) throws {
    for (blocks, outputs) in [(1, 1), (3, 17)] {
      let width = type.isQuantized ? blocks * type.blockLength : 32 * blocks + 7
      var random = Numbers(seed: UInt64(width + outputs))
      let weights = type.randomBytes(outputs * width, peak: 1) { random.next() }
      let file = try LastPage(weights)
      let last = try LastPage(
        type.isQuantized ? tiles(type, weights, rows: outputs, width: width) : weights)
      defer { withExtendedLifetime((file, last)) {} }
      let decoded = weights.withUnsafeBytes { type.decoded($0, count: outputs * width) }
      for tiled in type.isQuantized ? [false, true] : [false] {
        let source = tiled ? last.start : file.start
        let rows = embed(level, type, source, tiled, rows: outputs, width: width)
        #expect(rows == decoded)
      }
      for rows in [1, 9] {
        let x = random.floats(rows * width)
        let floats = linear(
          level, type, last.bytes, outputs: outputs, width: width, rows: rows, input: x)
        let wanted = product(x, decoded, rows: rows, width: width, outputs: outputs)
        #expect(error(floats, wanted) < 1e-11)
        guard type.isQuantized else { continue }
        let blocks = int8Blocks(x, rows: rows, width: width)
        let integers = linear(
          level, type, last.bytes, outputs: outputs, width: width, rows: rows, isInt8: true,
          input: blocks.bytes)
        let rounded = product(blocks.values, decoded, rows: rows, width: width, outputs: outputs)
        #expect(error(integers, rounded) < 1e-11)
      }
    }
  }

  @Test(arguments: levels)
  func decodesEveryHalf(level: Level) {
    let bits = (UInt16.min...UInt16.max).map { $0 }
    var decoded = [Float](repeating: 0, count: bits.count)
    bits.withUnsafeBytes { source in
      cpu_decode(level.kernels, CPU_F16, source.baseAddress, bits.count, &decoded)
    }
    let wrong = zip(bits, decoded).first { half, value in
      let wanted = Float(Float16(bitPattern: half))
      return wanted.isNaN ? !value.isNaN : value != wanted || value.sign != wanted.sign
    }
    #expect(wrong == nil)
  }

  @Test(arguments: levels)
  func roundsHalvesLikeSwift(level: Level) {
    var random = Numbers(seed: 5)
    // Ties, the smallest and largest halves, denormals, overflow, and bits at random.
    var values: [Float] = [
      0, -0.0, 1, 1.00048828125, 1.0009765625, 1.00146484375, 65504, 65519.996, 65520, -1e9,
      .infinity, 5.9604645e-8, 2.9802322e-8, 2.9802326e-8, 8.940697e-8, 6.1035156e-5, 6.0975552e-5,
    ]
    while values.count < 16 * 64 {
      let value = Float(bitPattern: UInt32(truncatingIfNeeded: random.next()))
      if !value.isNaN { values.append(value / (values.count % 2 == 0 ? 1 : 1e20)) }
    }
    var pages = [Float16](repeating: .nan, count: values.count * 2)
    // One head, 64 wide: row r goes to slot r.
    let slots = (0..<16).map { Int32($0) }
    pages.withUnsafeMutableBytes { pages in
      var arguments = cpu_write_kv_arguments(
        k: nil, v: nil, slots: nil, rows: 16,
        pool: cpu_kv_pool(
          pages: pages.baseAddress, page_count: 1, type: CPU_KV_F16, heads: 1, head_width: 64))
      values.withUnsafeBufferPointer { values in
        slots.withUnsafeBufferPointer { slots in
          (arguments.k, arguments.v) = (values.baseAddress, values.baseAddress)
          arguments.slots = slots.baseAddress
          cpu_write_kv(level.kernels, nil, &arguments)
        }
      }
    }
    let written = pages[1024...].map(\.bitPattern)
    #expect(written == values.map { Float16($0).bitPattern })
  }

  /// A page holds what its last owner left behind: no NaN, but scores far above the visible ones.
  @Test(arguments: levels, [true, false])
  func staleTokensTakeNoPart(level: Level, half: Bool) {
    func attend(stale: Float) -> [Float] {
      let width = 33
      let elements = 2 * 2 * KVLayout.pageTokens * width
      var pages = [UInt8](repeating: 0, count: elements * (half ? 2 : 4))
      var output = [Float](repeating: .nan, count: width)
      let query = [Float](repeating: 1, count: width)
      pages.withUnsafeMutableBytes { pages in
        let pool = cpu_kv_pool(
          pages: pages.baseAddress, page_count: 2, type: half ? CPU_KV_F16 : CPU_KV_F32, heads: 1,
          head_width: width)
        for token in 0..<2 * KVLayout.pageTokens {
          let isSeen = (3..<20).contains(token)
          let row = (0..<width).map { isSeen ? Float(($0 + token) % 7) * 0.1 : stale }
          var slot = Int32(token)
          var arguments = cpu_write_kv_arguments(k: nil, v: nil, slots: nil, rows: 1, pool: pool)
          row.withUnsafeBufferPointer { row in
            withUnsafePointer(to: &slot) { slot in
              (arguments.k, arguments.v, arguments.slots) = (row.baseAddress, row.baseAddress, slot)
              cpu_write_kv(level.kernels, nil, &arguments)
            }
          }
        }
        let integers: [Int32] = [3, 20, 0, 0, 1]
        integers.withUnsafeBufferPointer { integers in
          query.withUnsafeBufferPointer { query in
            output.withUnsafeMutableBufferPointer { output in
              let first = integers.baseAddress
              var arguments = cpu_attend_arguments(
                q: query.baseAddress, pool: pool, begin: first, end: first.map { $0 + 1 },
                table: first.map { $0 + 2 }, tables: first.map { $0 + 3 }, head_stride: 0, rows: 1,
                heads: 1,
                scale: 1, before: nil, leaves: false, output: output.baseAddress, parts: nil,
                parts_rows: 0, spans: 0,
                tile_rows: 0)
              cpu_attend(level.kernels, nil, &arguments)
            }
          }
        }
      }
      return output
    }
    let clean = attend(stale: 0)
    #expect(clean.allSatisfy { $0 > 0 && $0 < 1 })
    #expect(attend(stale: 100) == clean)
    #expect(attend(stale: .infinity) == clean)
  }

  /// Of jobs one after the other without a pause, with fewer tasks than threads, and with many for each.
  @Test(arguments: 1...5)
  func everyTaskRunsOnce(threads: Int32) {
    let pool = cpu_pool_create(threads)
    defer { cpu_pool_destroy(pool) }
    for run in 0..<3000 {
      var counts = [Int32](repeating: 0, count: run * 7 % (run % 3 == 0 ? 12 : 300))
      counts.withUnsafeMutableBufferPointer { counts in
        cpu_pool_run(
          pool, counts.count, run % 4 != 0,
          { context, task in context?.assumingMemoryBound(to: Int32.self)[task] += 1 },
          counts.baseAddress)
      }
      let isOnceEach = counts.allSatisfy { $0 == 1 }
      #expect(isOnceEach)
    }
  }

  /// Rows are cut into blocks by the number of threads; each sum is the same.
  @Test(arguments: [ElementType.q4_1, .q4_0, .q6_K], [2, 3, 5] as [Int32])
  func threadsShareRows(type: ElementType, threads: Int32) throws {
    let (width, outputs) = (256, 80)
    let pool = cpu_pool_create(threads)
    defer { cpu_pool_destroy(pool) }
    for rows in [3, 4, 127, 128, 256, 257, 300, 641] {
      var random = Numbers(seed: UInt64(rows))
      let bytes = type.randomBytes(outputs * width, peak: 1) { random.next() }
      let weights = try LastPage(tiles(type, bytes, rows: outputs, width: width))
      let x = random.floats(rows * width)
      let input = try LastPage(int8Blocks(x, rows: rows, width: width).bytes)
      let (bias, addend) = (random.floats(outputs), random.floats(rows * outputs))
      func products(_ pool: OpaquePointer?) -> [Float] {
        var output = [Float](repeating: .nan, count: rows * outputs + 16)
        output.withUnsafeMutableBufferPointer { output in
          bias.withUnsafeBufferPointer { bias in
            addend.withUnsafeBufferPointer { addend in
              var arguments = cpu_linear_arguments(
                type: type.kernelType, weights: weights.start, outputs: outputs, width: width,
                bias: bias.baseAddress, input: input.start, rows: rows,
                addend: addend.baseAddress, output: output.baseAddress, block_rows: 0)
              cpu_linear_int8(cpu_kernels_best(), pool, &arguments)
            }
          }
        }
        return output
      }
      let (alone, shared) = (products(nil), products(pool))
      #expect(alone[..<(rows * outputs)] == shared[..<(rows * outputs)], "\(rows)")
      #expect(shared[(rows * outputs)...].allSatisfy(\.isNaN) && !alone[rows * outputs - 1].isNaN)
    }
  }

  @Test func poolsComeAndGo() {
    for threads in 0..<20 {
      let pool = cpu_pool_create(Int32(threads % 5))
      #expect(cpu_pool_threads(pool) == max(1, Int32(threads % 5)))
      cpu_pool_destroy(pool)
    }
    cpu_pool_destroy(nil)
  }
}

// MARK: - The kernels, called directly

struct Level: CustomStringConvertible, Sendable {
  let index: UInt32
  var kernels: OpaquePointer? { cpu_kernels_level(cpu_level(rawValue: index)) }
  var description: String { String(cString: cpu_kernels_name(kernels)) }
}

private let levels = (0..<UInt32(CPU_LEVELS)).map { Level(index: $0) }.filter { $0.kernels != nil }

/// Bytes that end where a page does, behind which nothing may be read.
private final class LastPage {
  struct NoMemory: Error {}

  private let mapping: UnsafeMutableRawPointer
  private let length: Int
  let start: UnsafeRawPointer
  let bytes: UnsafeRawBufferPointer

  init(_ content: [UInt8]) throws {
    let page = Int(getpagesize())
    let readable = (content.count + page - 1) / page * page
    length = readable + page
    let mapping = mmap(
      nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let mapping, mapping != MAP_FAILED,
      mprotect(mapping + readable, page, PROT_NONE) == 0
    else { throw NoMemory() }
    self.mapping = mapping
    let target = mapping + (readable - content.count)
    content.withUnsafeBytes {
      UnsafeMutableRawBufferPointer(start: target, count: $0.count).copyMemory(from: $0)
    }
    start = UnsafeRawPointer(target)
    bytes = UnsafeRawBufferPointer(start: start, count: content.count)
  }

  deinit { munmap(mapping, length) }
}

/// A quantised matrix in tiles.
func tiles(
  _ type: ElementType, _ weights: [UInt8], rows: Int, width: Int, threads: Int32 = 1
) -> [UInt8] {
  let name = weight_type(rawValue: numericCast(type.rawValue))
  // What is not written stays as no tile may be.
  var tiles = [UInt8](repeating: 0xFF, count: weight_tiles_bytes(name, rows, width))
  weight_tiles_write(name, weights, rows, width, threads, &tiles)
  return tiles
}

/// All rows of a table, as the kernel looks them up.
private func embed(
  _ level: Level, _ type: ElementType, _ table: UnsafeRawPointer, _ isTiled: Bool, rows: Int,
  width: Int
) -> [Float] {
  let tokens = (0..<Int32(rows)).map { $0 }
  var output = [Float](repeating: .nan, count: rows * width)
  tokens.withUnsafeBufferPointer { tokens in
    output.withUnsafeMutableBufferPointer { output in
      var arguments = cpu_embed_arguments(
        type: type.kernelType, table: table, tiled: isTiled,
        row_bytes: type.rowBytes(width) ?? 0, table_rows: rows, width: width,
        tokens: tokens.baseAddress, rows: rows, scale: 1, output: output.baseAddress)
      cpu_embed(level.kernels, nil, &arguments)
    }
  }
  return output
}

/// Runs a linear kernel; what lies behind the output must stay as it was.
private func linear<Element>(
  _ level: Level, _ type: ElementType, _ weights: [UInt8], outputs: Int, width: Int, rows: Int,
  isInt8: Bool = false, input: [Element]
) -> [Float] {
  let laidOut =
    type.isQuantized ? tiles(type, weights, rows: outputs, width: width) : weights
  return laidOut.withUnsafeBytes {
    linear(
      level, type, $0, outputs: outputs, width: width, rows: rows, isInt8: isInt8, input: input)
  }
}

private func linear<Element>(
  _ level: Level, _ type: ElementType, _ weights: UnsafeRawBufferPointer, outputs: Int, width: Int,
  rows: Int,
  isInt8: Bool = false, input: [Element]
) -> [Float] {
  var output = [Float](repeating: .nan, count: rows * outputs + 16)
  output.withUnsafeMutableBufferPointer { output in
    input.withUnsafeBytes { input in
      var arguments = cpu_linear_arguments(
        type: type.kernelType, weights: weights.baseAddress, outputs: outputs, width: width,
        bias: nil, input: input.baseAddress, rows: rows, addend: nil, output: output.baseAddress,
        block_rows: 0)
      if isInt8 {
        cpu_linear_int8(level.kernels, nil, &arguments)
      } else {
        cpu_linear(level.kernels, nil, &arguments)
      }
    }
  }
  let isUntouched = output[(rows * outputs)...].allSatisfy(\.isNaN)
  #expect(isUntouched)
  return Array(output[..<(rows * outputs)])
}

/// Rows of `Int8Activations`, and the numbers that they stand for.
private func int8Blocks(_ x: [Float], rows: Int, width: Int) -> (bytes: [UInt8], values: [Float]) {
  let stride = Int8Activations.rowBytes(width)
  var bytes = [UInt8](repeating: 0, count: rows * stride)
  var values: [Float] = []
  bytes.withUnsafeMutableBytes { bytes in
    x.withUnsafeBufferPointer { x in
      for row in 0..<rows {
        let target = UnsafeMutableRawBufferPointer(
          rebasing: bytes[row * stride..<(row + 1) * stride])
        Int8Activations.quantize(
          UnsafeBufferPointer(rebasing: x[row * width..<(row + 1) * width]), into: target)
        for j in 0..<width {
          let scale = target.loadUnaligned(fromByteOffset: width + j / 32 * 4, as: Float.self)
          values.append(Float(target.load(fromByteOffset: j, as: Int8.self)) * scale)
        }
      }
    }
  }
  return (bytes, values)
}

/// Sums in double precision, and the power of their terms: what a sum would have whose terms do not
/// cancel.
private func product(
  _ x: [Float], _ weights: [Float], rows: Int, width: Int, outputs: Int
) -> (sums: [Double], power: Double) {
  var sums: [Double] = []
  var power = Double.leastNormalMagnitude
  for row in 0..<rows {
    for output in 0..<outputs {
      var sum = 0.0
      for k in 0..<width {
        let term = Double(x[row * width + k]) * Double(weights[output * width + k])
        sum += term
        power += term * term
      }
      sums.append(sum)
    }
  }
  return (sums, power)
}

/// Mean squared error, normalised by the power of the terms.
private func error(_ got: [Float], _ wanted: (sums: [Double], power: Double)) -> Double {
  var difference = 0.0
  for (a, b) in zip(got, wanted.sums) { difference += (Double(a) - b) * (Double(a) - b) }
  return difference / wanted.power
}

/// SplitMix64 (Steele et al., 2014).
private struct Numbers {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Between -1 and 1.
  mutating func floats(_ count: Int) -> [Float] {
    (0..<count).map { _ in Float(Int64(bitPattern: next()) >> 40) / Float(1 << 23) }
  }
}
