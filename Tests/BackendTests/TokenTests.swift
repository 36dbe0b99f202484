import Devices
import ModelGraph
import ReferenceBackend
import Testing

/// Which tokens are chosen, on the reference, against the definition in double precision.
@Suite struct TokenTests {
  private static let (heads, kvHeads, tokens, rows) = (6, 2, 90, 40)

  private struct Numbers {
    var state: UInt32
    mutating func next() -> Double {
      state = state &* 1_664_525 &+ 1_013_904_223
      return Double(state >> 8) / Double(1 << 24)
    }
  }

  private struct Chosen: Equatable {
    var list: [Int]
    var shares: [Double]
    var keys: [Double]
  }

  /// Runs the choice; `columns` are what observed rows attend to each token, for each kv head.
  private func choose(
    _ columns: [[Double]], observed: [Int], tau: Double
  ) throws -> Chosen {
    let device = ReferenceDevice()
    var next = 0
    func place<T: BitwiseCopyable>(
      _ values: [T], _ rows: Dimension, _ width: Int, _ format: Format
    ) throws -> Operand {
      let region = Region(buffer: BufferID(index: next))
      next += 1
      let bytes = values.withUnsafeBytes { Array($0) }
      try device.allocate(region.buffer, bytes: bytes.count, label: "test")
      try bytes.withUnsafeBytes { try device.write($0, to: region) }
      return Operand(region: region, rows: rows, width: width, format: format)
    }
    let held = (Self.tokens + 15) / 16 * 16
    let padded = columns.flatMap { row in
      row.map { Float($0) } + [Float](repeating: .nan, count: held - row.count)
    }
    let ends = (0..<Self.rows).map { Int32(Self.tokens - Self.rows + 1 + $0) }
    let width = TokenChoice.head + held
    let output = try place([Int32](repeating: -1, count: 3 * width), .fixed(3), width, .i32)
    let choice = TokenChoice(
      headCount: Self.heads, kvHeadCount: columns.count,
      share: Int((tau * Double(TokenChoice.whole)).rounded(.up)))
    try device.run(
      [
        Instruction(
          .chooseTokens(choice),
          inputs: [
            try place(padded, .fixed(columns.count), held, .f32),
            try place(observed.map { Int32($0) }, .fixed(observed.count), 1, .i32),
            try place(ends, .symbol(.rows), 1, .i32),
          ], output: output, label: "test")
      ], sizes: SymbolSizes(rows: Self.rows, outputs: 0))
    var numbers = [Int32](repeating: 0, count: 3 * width)
    try numbers.withUnsafeMutableBytes { try device.read(output.region, into: $0) }
    let unit = Double(TokenChoice.unit)
    return Chosen(
      list: numbers[16..<16 + Int(numbers[0])].map { Int($0) },
      shares: numbers[width..<width + Self.tokens].map { Double($0) / unit },
      keys: numbers[2 * width..<2 * width + Self.tokens].map { Double($0) / unit })
  }

  /// Masses as observed rows would leave them: each gives each head one, over the tokens that it sees.
  private func masses(_ observed: [Int], _ numbers: inout Numbers) -> [[Double]] {
    var columns = [[Double]](
      repeating: [Double](repeating: 0, count: Self.tokens), count: Self.kvHeads)
    for row in observed where row >= 0 {
      for head in 0..<Self.heads {
        let seen = (0...Self.tokens - Self.rows + row).map { _ in
          let number = numbers.next()
          return number * number * number * number * number
        }
        let total = seen.reduce(0, +)
        for (token, weight) in seen.enumerated() { columns[head / 3][token] += weight / total }
      }
    }
    return columns
  }

  private func seeing(_ token: Int, _ observed: [Int]) -> Int {
    observed.count { $0 >= 0 && Self.tokens - Self.rows + 1 + $0 > token }
  }

  @Test(arguments: 1..<9)
  func tokensAreThoseOfTheDefinition(seed: Int) throws {
    var numbers = Numbers(state: UInt32(seed * 77))
    let observed = [3, 11, -1, 17 + seed, 30, 38, 39, -1]
    let columns = masses(observed, &numbers)
    let total = Double(6 * Self.heads)
    let shares = (0..<Self.tokens).map { (columns[0][$0] + columns[1][$0]) / total }
    var before: Set<Int> = []
    for tau in [0.0001, 0.2, 0.5, 0.9, 0.975, 0.999, 1] {
      let chosen = try choose(columns, observed: observed, tau: tau)
      for token in 0..<Self.tokens {
        #expect(abs(chosen.shares[token] - shares[token]) < 1e-6)
        let part = Double(seeing(token, observed)) / 6
        #expect(abs(chosen.keys[token] - (part > 0 ? shares[token] / part : 0)) < 1e-5)
      }
      // As few as have the share; whole numbers round by less than what a token is away from the border.
      var (sum, wanted) = (0.0, 0)
      for share in shares.sorted(by: >) where sum < tau {
        sum += share
        wanted += 1
      }
      if tau == 1 { wanted = Self.tokens }
      let own = Set(chosen.list)
      let added = own.count > wanted ? 1 : 0
      #expect(own.count == wanted + added, "tau \(tau)")
      #expect(chosen.list == own.sorted() && chosen.list.last == Self.tokens - 1)
      let largest = chosen.shares.sorted(by: >).prefix(wanted).reduce(0, +)
      #expect(largest >= tau - 1e-6, "the share that was asked for")
      // Nobody outside has a larger key than somebody inside, the last token apart.
      let ranked = chosen.keys.indices.sorted {
        chosen.keys[$0] == chosen.keys[$1] ? $0 < $1 : chosen.keys[$0] > chosen.keys[$1]
      }
      #expect(own == Set(ranked.prefix(wanted)).union([Self.tokens - 1]), "tau \(tau)")
      // More of tau, more of tokens.
      #expect(before.isSubset(of: own))
      before = own
    }
    #expect(before.count == Self.tokens)
  }

  /// Where all tokens have the same, their number is that share of them; where one has all, it is one.
  @Test func evenAttentionKeepsAShareAndOneTokenKeepsOne() throws {
    let observed = [39]
    let even = [[Double](repeating: Double(Self.heads) / Double(Self.tokens), count: Self.tokens)]
    // No share is a whole number of tokens: rounding to parts of a share could add one.
    for tau in [0.11, 0.51, 0.91] {
      let list = try choose(even, observed: observed, tau: tau).list
      let wanted = Int((tau * Double(Self.tokens)).rounded(.up))
      #expect(list == Array(0..<wanted) + [Self.tokens - 1])
    }
    var one = [Double](repeating: 0, count: Self.tokens)
    one[33] = Double(Self.heads)
    #expect(try choose([one], observed: observed, tau: 0.975).list == [33, Self.tokens - 1])
  }
}
