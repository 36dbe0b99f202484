import Residency
import Testing

/// What is kept of a prompt, against what the definitions say in the plainest way.
@Suite struct EvictionTests {
  private struct Numbers {
    var state: UInt32
    mutating func next(_ count: Int) -> [Float] {
      (0..<count).map { _ in
        state = state &* 1_664_525 &+ 1_013_904_223
        return Float(state >> 24)
      }
    }
  }

  /// Pages of four tokens; whole numbers, so that sums are exact.
  @Test(arguments: 0..<30)
  func scoresAreThoseOfTheDefinition(seed: Int) {
    var numbers = Numbers(state: UInt32(seed * 7 + 1))
    let tokens = 9 + seed
    let mass = numbers.next(tokens + 5)
    let held = (tokens + 3) / 4
    let past = (held - 2) * 4
    for width in [1, 5, 7] {
      let scores = PageScoring(neighbours: width).scores(mass[...], tokens: tokens, pageTokens: 4)
      #expect(scores.count == held)
      for page in 0..<held {
        let pooled = (page * 4..<page * 4 + 4).filter { $0 < past }.map { token in
          (0..<past).filter { abs($0 - token) <= width / 2 }.map { mass[$0] }.max() ?? 0
        }
        #expect(scores[page] == pooled.reduce(0, +))
      }
    }
  }

  /// Exactly the budget, falling from layer to layer, never below what every policy keeps or above what is held;
  /// with β = 1 the same for all.
  @Test func pyramidsKeepExactlyTheBudget() {
    for layers in [1, 2, 7, 30, 32] {
      for mean in 3...40 {
        for held in [3, mean, mean + 1, mean + 2, 2 * mean, 5 * mean, 1000] {
          let pages = PyramidBudget.pages(layers: layers, mean: mean, held: held)
          #expect(pages.reduce(0, +) == layers * min(mean, held))
          #expect(pages == pages.sorted(by: >))
          #expect(pages.allSatisfy { $0 <= held && $0 >= min(3, held) })
          #expect(
            PyramidBudget.pages(layers: layers, mean: mean, held: held, beta: 1)
              == [Int](repeating: min(mean, held), count: layers))
        }
      }
    }
    // As the paper has it, where nothing is rounded: 20 and 380 of 200, beside three.
    let pages = PyramidBudget.pages(layers: 19, mean: 203, held: 1000)
    #expect(pages.first == 393 && pages.last == 13 && pages[9] == 203)
  }

  /// Every policy keeps as many pages as its budget says, over all layers, and the best by the scores of each head.
  @Test(arguments: [CachePolicy.Method.h2o, .snapkv, .pyramid], 0..<6)
  func whatIsKeptIsTheBest(method: CachePolicy.Method, seed: Int) throws {
    var numbers = Numbers(state: UInt32(seed + 1))
    let policy = try CachePolicy(method, budget: 16 * 6, pageTokens: 16)
    let (layers, heads, tokens) = (5, 2, 16 * 14 + 3 + seed)
    var mass = PromptMass()
    let parts = (0..<2).map { _ in (0..<layers).map { _ in numbers.next(heads * 16 * 20) } }
    for part in parts { mass.add(part) }
    let kept = policy.keep(
      tokens, mass: mass, heads: [Int](repeating: heads, count: layers), pageTokens: 16)
    #expect(kept.held == 15 && kept.lists.reduce(0) { $0 + $1[0].count } == layers * 6)
    for layer in 0..<layers {
      for head in 0..<heads {
        let own = zip(parts[0][layer], parts[1][layer]).map { $0 + $1 }[
          head * 320..<(head + 1) * 320]
        let scores = policy.scoring.scores(own, tokens: tokens, pageTokens: 16)
        let list = kept.lists[layer][head]
        // H2O keeps half of six for the latest.
        let always = method == .h2o ? [0, 12, 13, 14] : [0, 13, 14]
        let ranked = (0..<15).filter { !always.contains($0) }.sorted {
          scores[$0] == scores[$1] ? $0 < $1 : scores[$0] > scores[$1]
        }
        #expect(list == (always + ranked.prefix(list.count - always.count)).sorted())
        let seen = own.prefix(tokens).enumerated()
        let share =
          seen.reduce(0) { $0 + (list.contains($1.offset / 16) ? Double($1.element) : 0) }
          / seen.reduce(0) { $0 + Double($1.element) }
        #expect(share > 0 && abs(Double(kept.shares[layer][head]) - share) < 1e-6)
      }
    }
    #expect(
      kept.dropped
        == (0..<15).filter { page in !kept.lists.joined().contains { $0.contains(page) } })
    // A short prompt is kept as it is.
    let short = policy.keep(90, mass: mass, heads: [2, 2], pageTokens: 16)
    #expect(short.lists == [[Array(0..<6), Array(0..<6)], [Array(0..<6), Array(0..<6)]])
    #expect(short.dropped.isEmpty)
  }

  /// No division of as many pages has a layer with the smallest share that has more, by trying all of them.
  @Test(arguments: 0..<20) func sharesAreAsEqualAsTheyCanBe(seed: Int) {
    var numbers = Numbers(state: UInt32(seed + 3))
    let masses = (0..<3).map { layer in
      numbers.next(7).map { Double($0 * $0) * (layer == 1 ? 1e-3 : 1) }
    }
    func share(_ layer: Int, _ pages: Int) -> Double {
      let others = masses[layer][1..<5].sorted(by: >).prefix(pages - 3)
      let always = masses[layer][0] + masses[layer][5] + masses[layer][6]
      return (always + others.reduce(0, +)) / masses[layer].reduce(0, +)
    }
    for budget in 9...21 {
      let pages = AdaptiveBudget.pages(masses, budget: budget, least: 3, latest: 2, share: 1)
      #expect(pages.reduce(0, +) == budget && pages.allSatisfy { (3...7).contains($0) })
      let smallest = (0..<3).map { share($0, pages[$0]) }.min() ?? 0
      for first in 3...7 {
        for second in 3...7 where (3...7).contains(budget - first - second) {
          let other = [first, second, budget - first - second]
          #expect((0..<3).map { share($0, other[$0]) }.min() ?? 0 <= smallest + 1e-12)
        }
      }
    }
    // A share that is enough: no layer has a page more than it takes, and all have it where the budget allows.
    var before = [3, 3, 3]
    for enough in [0.1, 0.5, 0.7, 0.9, 0.99] {
      let pages = AdaptiveBudget.pages(masses, budget: 21, least: 3, latest: 2, share: enough)
      for layer in 0..<3 {
        #expect(share(layer, pages[layer]) >= enough - 1e-12 || pages[layer] == 7)
        #expect(pages[layer] == 3 || share(layer, pages[layer] - 1) < enough)
      }
      #expect(zip(pages, before).allSatisfy { $0 >= $1 })
      before = pages
    }
    // One page that has everything, and pages that are all alike.
    let alike = [[0, 0, 1, 0, 0, 0, 0], [Double](repeating: 1, count: 7)]
    #expect(AdaptiveBudget.pages(alike, budget: 14, least: 3, latest: 2, share: 0.9) == [4, 7])
  }

  /// All heads of a layer keep the same pages: the first, the last two, and those with the largest shares of rows that
  /// see them.
  @Test(arguments: 0..<6) func equalSharesKeepTheBest(seed: Int) throws {
    var numbers = Numbers(state: UInt32(seed + 11))
    let (layers, tokens, held) = (4, 16 * 14 + 3 + seed, 15)
    for share in [1, 0.6] {
      let policy = try CachePolicy(.zipvl, budget: 16 * 6, pageTokens: 16, share: share)
      var mass = PromptMass()
      let parts = (0..<layers).map { layer in
        numbers.next(2 * 16 * 20).enumerated().map {
          $0.offset % 320 / 16 % (2 + layer) == 0 ? $0.element * 40 : $0.element
        }
      }
      mass.add(parts)
      let kept = policy.keep(
        tokens, mass: mass, heads: [Int](repeating: 2, count: layers), pageTokens: 16)
      let counts = kept.lists.map { $0[0].count }
      let used = counts.reduce(0, +)
      #expect(Set(counts).count > 1 && (share < 1 ? used < layers * 6 : used == layers * 6))
      let probes = policy.probes.among(0..<tokens, of: tokens)
      #expect(probes.count == 64)
      for layer in 0..<layers {
        #expect(kept.lists[layer][0] == kept.lists[layer][1])
        let scores = (0..<held - 2).map { page in
          (page * 16..<page * 16 + 16).reduce(0.0) { sum, token in
            let rows = probes.filter { $0 >= token }.count
            return sum + Double(parts[layer][token] + parts[layer][320 + token]) / Double(rows)
          }
        }
        let ranked = (1..<held - 2).sorted { scores[$0] > scores[$1] }.prefix(counts[layer] - 3)
        #expect(kept.lists[layer][0] == ([0, 13, 14] + ranked).sorted())
      }
    }
  }

  @Test func droppedPagesGoBackOnce() {
    var pool = PagePool(pageCount: 8, pageTokens: 4)
    var table = PageTable(pageTokens: 4)
    #expect(table.reserve(30, from: &pool))
    let pages = table.pages
    table.drop([1, 3, 4], to: &pool)
    #expect(pool.freeCount == 3)
    #expect(table.pages == [pages[0], -1, pages[2], -1, -1, pages[5], pages[6], pages[7]])
    #expect(table.slot(of: 30) == pages[7] * 4 + 2)
    #expect(table.reserve(40, from: &pool))
    #expect(pool.freeCount == 1)
    table.release(to: &pool)
    #expect(pool.freeCount == 8)
  }
}
