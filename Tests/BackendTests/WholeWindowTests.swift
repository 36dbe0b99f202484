import CPUKernels
import Devices
import Testing

/// A level's loops over whole windows against the portable one, which goes page by page: the same bits.
@Suite struct WholeWindowTests {
  private static let others = (1..<UInt32(CPU_LEVELS)).map { Level(index: $0) }
    .filter { $0.kernels != nil }

  /// What rows see: whole windows only; from within one to within another; two that see different ends.
  private static let sights: [[Range<Int32>]] = [
    [0..<192], [37..<203], [0..<192, 64..<180], [70..<70, 5..<150],
  ]

  @Test(arguments: others, [CPU_KV_F32, CPU_KV_F16, CPU_KV_BF16, CPU_KV_I16])
  func attendsLikeThePortableLevel(level: Level, type: cpu_kv_type) {
    var state = UInt64(type.rawValue) + 1
    func number() -> Float {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(state >> 40) / Float(1 << 23) - 1
    }
    let pageCount = 16
    // Up to seven queries share keys and values; heads are one tile wide, two, three, and no whole ones.
    // Whole numbers fill blocks of 32.
    for width in [64, type == CPU_KV_I16 ? 96 : 80, 128, 192] {
      let half = KVLayout.pageTokens * width
      let pages = (0..<2 * pageCount * 2).flatMap { side -> [UInt8] in
        guard type == CPU_KV_I16 else {
          return (0..<half).flatMap { _ in bytes(number() * 4, type) }
        }
        let scales = (0..<KVLayout.pageTokens).map { _ in abs(number()) * 1e-3 }
        let limit: Float = side % 2 == 0 ? 32_767 : 4_095
        return scales.flatMap { withUnsafeBytes(of: $0) { Array($0) } }
          + (0..<half).flatMap { _ in
            withUnsafeBytes(of: Int16(number() * limit)) { Array($0) }
          }
      }
      let tables = (0..<pageCount).map { Int32($0 * 7 % pageCount) }
      for group in 1...7 {
        for sight in Self.sights {
          let queries = (0..<sight.count * 2 * group * width).map { _ in number() }
          func attend(_ kernels: OpaquePointer?) -> [UInt32] {
            Self.attend(
              kernels, queries, sight, tables: tables, group: group, width: width, pages: pages,
              pageCount: pageCount, type: type)
          }
          #expect(
            attend(level.kernels) == attend(cpu_kernels_level(CPU_LEVEL_PORTABLE)),
            "\(level), \(group) × \(width), \(sight)")
        }
      }
    }
  }

  private func bytes(_ number: Float, _ type: cpu_kv_type) -> [UInt8] {
    switch type {
    case CPU_KV_F32: withUnsafeBytes(of: number) { Array($0) }
    case CPU_KV_F16: withUnsafeBytes(of: Float16(number)) { Array($0) }
    default: withUnsafeBytes(of: UInt16(number.bitPattern >> 16)) { Array($0) }
    }
  }

  /// The bits of the output of two kv heads.
  private static func attend(
    _ kernels: OpaquePointer?, _ queries: [Float], _ sight: [Range<Int32>], tables: [Int32],
    group: Int, width: Int, pages: [UInt8], pageCount: Int, type: cpu_kv_type
  ) -> [UInt32] {
    var pages = pages
    var output = [Float](repeating: .nan, count: queries.count)
    let begin = sight.map(\.lowerBound)
    let end = sight.map(\.upperBound)
    let table = [Int32](repeating: 0, count: sight.count)
    pages.withUnsafeMutableBytes { pages in
      var arguments = cpu_attend_arguments()
      arguments.pool = cpu_kv_pool(
        pages: pages.baseAddress, page_count: pageCount, type: type, heads: 2, head_width: width)
      (arguments.rows, arguments.heads, arguments.scale) = (sight.count, 2 * group, 0.125)
      queries.withUnsafeBufferPointer { queries in
        begin.withUnsafeBufferPointer { begin in
          end.withUnsafeBufferPointer { end in
            table.withUnsafeBufferPointer { table in
              tables.withUnsafeBufferPointer { tables in
                output.withUnsafeMutableBufferPointer { output in
                  arguments.q = queries.baseAddress
                  (arguments.begin, arguments.end) = (begin.baseAddress, end.baseAddress)
                  (arguments.table, arguments.tables) = (table.baseAddress, tables.baseAddress)
                  arguments.output = output.baseAddress
                  cpu_attend(kernels, nil, &arguments)
                }
              }
            }
          }
        }
      }
    }
    return output.map(\.bitPattern)
  }
}
