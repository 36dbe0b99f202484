import Residency
import Testing

@Suite struct PolicyTests {
  /// All ways to choose `count` of `held` pages with the first and the last two among them, in order.
  private func subsets(_ count: Int, of held: Int) -> [[Int]] {
    (0..<1 << held).filter { bits in
      bits.nonzeroBitCount == count && [0, held - 2, held - 1].allSatisfy { bits >> $0 & 1 == 1 }
    }.map { bits in (0..<held).filter { bits >> $0 & 1 == 1 } }
  }

  /// Of all subsets the one whose scores are the largest, and among those the first pages.
  @Test(arguments: 0..<40)
  func bestIsTheSubsetWithTheLargestScores(seed: Int) {
    let held = 4 + seed % 6
    let count = 3 + seed % 4
    // Few levels: many scores are equal.
    let scores = (0..<held).map { Float(($0 * 7 + seed * 5) * (seed + 3) % 5) - 2 }
    let chosen = PageChoice.best(count, scores: scores)
    guard held > count else {
      #expect(chosen == Array(0..<held))
      return
    }
    func sum(_ pages: [Int]) -> Float { pages.reduce(0) { $0 + scores[$1] } }
    let most = subsets(count, of: held).map(sum).max()
    #expect(sum(chosen) == most)
    let first = subsets(count, of: held).filter { sum($0) == most }.min {
      $0.lexicographicallyPrecedes($1)
    }
    #expect(chosen == first)
  }

  @Test func sinksAreTheFirstPageAndTheLast() {
    for held in 1..<30 {
      for count in 3..<12 {
        let chosen = PageChoice.sinks(count, of: held)
        let oracle = (0..<held).filter { $0 == 0 || held - $0 < count || held <= count }
        #expect(chosen == oracle)
        #expect(chosen.count == min(held, count))
      }
    }
  }

  /// As many as asked for, the last among them, the same for the same seed; over many seeds each of the
  /// others as often as the rest.
  @Test func randomPagesAreEven() {
    let (held, count, draws) = (20, 6, 4000)
    var hits = [Int](repeating: 0, count: held)
    for seed in 0..<draws {
      let chosen = PageChoice.random(count, of: held, seed: seed)
      #expect(chosen == PageChoice.random(count, of: held, seed: seed))
      #expect(chosen.count == count && Set(chosen).count == count && chosen == chosen.sorted())
      for page in chosen { hits[page] += 1 }
    }
    #expect(hits[held - 1] == draws)
    let expected = Double(draws * (count - 1)) / Double(held - 1)
    let deviation = (expected * (1 - Double(count - 1) / Double(held - 1))).squareRoot()
    for page in 0..<held - 1 { #expect(abs(Double(hits[page]) - expected) < 5 * deviation) }
    #expect(PageChoice.random(20, of: 20, seed: 1) == Array(0..<20))
  }

  /// The tokens of the chosen pages that a row sees, counted one by one.
  @Test func endCountsTokensOfChosenPages() {
    for end in 0..<200 {
      let held = (end + 15) / 16
      let chosen = PageChoice.sinks(4, of: held)
      let tokens = (0..<end).count { chosen.contains($0 / 16) }
      #expect(end - PageChoice.skipped(end, pages: 4, pageTokens: 16) == tokens)
    }
  }

  @Test func budgetsAreChecked() throws {
    func policy(_ method: CachePolicy.Method, _ budget: Int?) throws(PolicyError) -> CachePolicy {
      try CachePolicy(method, budget: budget, pageTokens: 16)
    }
    #expect(try policy(.full, nil) == .full)
    #expect(try policy(.quest, 1024).pages == 64)
    #expect(throws: PolicyError.budgetOfFull(64)) { try policy(.full, 64) }
    #expect(throws: PolicyError.noBudget(.sinks, least: 48)) { try policy(.sinks, nil) }
    #expect(throws: PolicyError.tooSmall(32, least: 48, pages: 3)) { try policy(.random, 32) }
    #expect(throws: PolicyError.tooSmall(-16, least: 48, pages: 3)) { try policy(.random, -16) }
    #expect(throws: PolicyError.partOfPage(1000, pageTokens: 16)) { try policy(.quest, 1000) }
  }

  @Test func aBudgetOfAllPagesChoosesAll() throws {
    for method in CachePolicy.Method.allCases where method != .full {
      let policy = try CachePolicy(method, budget: 64, pageTokens: 16)
      #expect(policy.choice(of: 4, position: 9) == [0, 1, 2, 3])
      // These go by scores, or by what was kept.
      let counts = [CachePolicy.Method.sinks: 4, .sinksTurned: 3, .random: 4]
      #expect(policy.choice(of: 9, position: 9).count == counts[method] ?? 9)
    }
  }
}
