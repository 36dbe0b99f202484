/// How the attention that each token gathered becomes a score of its page: the sum over its tokens.
package struct PageScoring: Sendable, Hashable {
  /// Of so many tokens around it each token counts as the largest, so that what is kept hangs together; an odd
  /// number.
  package var neighbours: Int

  package init(neighbours: Int) { self.neighbours = neighbours }

  /// Scores of the pages that `tokens` tokens begin. The last two are kept in any case: what fell on them says
  /// nothing of their neighbours, and they score nothing.
  package func scores(_ mass: ArraySlice<Float>, tokens: Int, pageTokens: Int) -> [Float] {
    let pages = (tokens + pageTokens - 1) / pageTokens
    let past = Array(mass.prefix(max(0, pages - 2) * pageTokens))
    let reach = neighbours / 2
    let pooled = past.indices.map { token in
      past[max(0, token - reach)...min(past.count - 1, token + reach)].max() ?? 0
    }
    return (0..<pages).map { page in
      pooled.dropFirst(page * pageTokens).prefix(pageTokens).reduce(0, +)
    }
  }
}

/// What rows of a prompt attended to, added up over the steps that computed it.
package struct PromptMass: Sendable, Hashable {
  /// For each layer, numbers of one kv head after the other.
  package private(set) var layers: [[Float]] = []

  package init() {}

  /// Adds what one step brings.
  package mutating func add(_ step: [[Float]]) {
    if layers.isEmpty { return layers = step }
    precondition(step.count == layers.count)
    for (layer, numbers) in step.enumerated() {
      for index in numbers.indices { layers[layer][index] += numbers[index] }
    }
  }

  /// The numbers of one of a layer's kv heads, of which it has so many; nil where the layer was not looked at.
  func numbers(layer: Int, head: Int, of heads: Int) -> ArraySlice<Float>? {
    guard layer < layers.count else { return nil }
    let stride = layers[layer].count / heads
    return layers[layer][head * stride..<(head + 1) * stride]
  }
}

/// The pages of a prompt that are kept: places in the sequence, in order.
package struct KeptPages: Sendable, Hashable {
  /// Pages that the prompt began; those behind them are read by all.
  package let held: Int
  /// For each layer and kv head.
  package let lists: [[[Int]]]
  /// For each layer and kv head the scores of the prompt's pages by which they were kept; empty where all are, and
  /// where somebody else chose.
  package let scores: [[[Float]]]
  /// For each layer and kv head what the kept pages hold of all that the observed rows attended to, from 0 to 1; empty
  /// where somebody else chose.
  package let shares: [[Float]]

  package init(
    held: Int, lists: [[[Int]]], scores: [[[Float]]] = [], shares: [[Float]] = []
  ) {
    self.held = held
    self.lists = lists
    self.scores = scores
    self.shares = shares
  }

  /// Pages that no layer's head keeps.
  package var dropped: [Int] {
    let kept = lists.reduce(into: Set<Int>()) { $0.formUnion($1.joined()) }
    return (0..<held).filter { !kept.contains($0) }
  }
}

/// How many pages each layer keeps (PyramidKV, Cai et al., 2024): many in the first layers, whose attention is spread
/// wide, and few in the last.
package enum PyramidBudget {
  /// The paper's β: the last layer has so much less than the mean.
  package static let beta = 20

  /// Pages of each of `layers` layers, `mean` of them on average; in all exactly as many as that, where so many are
  /// held. Each layer has `least` at least: those that every policy keeps.
  ///
  /// What is beyond these falls from layer to layer by the same amount, from 2 mean - mean / beta to
  /// mean / beta. What rounding leaves goes to the layers with the largest remainders, the first of equal ones: sums of rounded
  /// parts alone would be beyond the budget, or below it.
  package static func pages(
    layers: Int, mean: Int, held: Int, least: Int = 3, beta: Int = beta
  ) -> [Int] {
    guard held > mean else { return [Int](repeating: held, count: layers) }
    let (free, room) = (mean - least, held - least)
    guard layers > 1 else { return [Int](repeating: mean, count: layers) }
    // In parts of a page: the first layer's and the last one's.
    let parts = beta * (layers - 1)
    var (first, last) = ((2 * beta - 1) * free, free)
    if first > room * beta { (first, last) = (room * beta, (2 * free - room) * beta) }
    let shares = (0..<layers).map { first * (layers - 1) - $0 * (first - last) }
    var pages = shares.map { $0 / parts }
    let left = layers * free - pages.reduce(0, +)
    let order = shares.indices.sorted {
      let (a, b) = (shares[$0] % parts, shares[$1] % parts)
      return a == b ? $0 < $1 : a > b
    }
    for layer in order.prefix(left) { pages[layer] += 1 }
    return pages.map { $0 + least }
  }
}

extension CachePolicy {
  /// Whether it keeps a part of a prompt's pages and drops the others for good.
  package var evicts: Bool {
    switch method {
    case .h2o, .snapkv, .pyramid, .zipvl: true
    case .full, .sinks, .sinksTurned, .quest, .random: false
    }
  }

  /// Rows of a prompt whose attention is looked at.
  package var probes: PromptProbes {
    switch method {
    case .h2o: .all
    case .zipvl: .sampled(2 * Self.lastRows)
    case .full, .sinks, .sinksTurned, .quest, .snapkv, .pyramid, .random: .last(Self.lastRows)
    }
  }

  /// How many at most; all rows of a prompt where that is more.
  package var observedRows: Int { probes.limit ?? .max }

  /// Two pages: just those that are kept in any case.
  package static let lastRows = 32

  /// How it scores pages.
  package var scoring: PageScoring {
    PageScoring(neighbours: method == .h2o || method == .zipvl ? 1 : 7)
  }

  /// How many of the latest pages are kept whatever their scores, of so many of `held` ones. H2O's sums favour early tokens, to
  /// which more rows attend: without half of the budget for late ones it would have none of these.
  package func latest(of count: Int, held: Int) -> Int {
    max(2, method == .h2o ? count / 2 : 0, PageChoice.own(of: held, window: window))
  }

  /// Pages that each of so many layers keeps of a prompt that began `held`; with `zipvl` on average, or at most.
  package func kept(of held: Int, layers: Int) -> [Int] {
    let mean = min(pages ?? held, held)
    return method == .pyramid
      ? PyramidBudget.pages(layers: layers, mean: mean, held: held, least: fewestPages)
      : [Int](repeating: mean, count: layers)
  }

  /// What is kept of a prompt: for each layer and kv head the first page, the latest and those with the best scores, by
  /// what rows of the prompt attended to.
  package func keep(
    _ tokens: Int, mass: PromptMass, heads: [Int], pageTokens: Int
  ) -> KeptPages {
    let held = (tokens + pageTokens - 1) / pageTokens
    let (counts, scores) =
      method == .zipvl
      ? ofEqualShares(tokens, mass: mass, heads: heads, pageTokens: pageTokens)
      : ofEachHead(tokens, mass: mass, heads: heads, pageTokens: pageTokens)
    let lists = zip(scores, counts).map { scores, count in
      scores.map {
        $0.isEmpty
          ? Array(0..<held)
          : PageChoice.best(count, scores: $0, latest: latest(of: count, held: held))
      }
    }
    let shares = heads.indices.map { layer in
      (0..<heads[layer]).compactMap { head in
        mass.numbers(layer: layer, head: head, of: heads[layer]).map {
          PageChoice.share(
            of: lists[layer][head], in: $0.prefix(tokens), pageTokens: pageTokens)
        }
      }
    }
    return KeptPages(held: held, lists: lists, scores: scores, shares: shares)
  }

  /// As many pages as the budget says, and scores for each kv head.
  private func ofEachHead(
    _ tokens: Int, mass: PromptMass, heads: [Int], pageTokens: Int
  ) -> (counts: [Int], scores: [[[Float]]]) {
    let held = (tokens + pageTokens - 1) / pageTokens
    let counts = kept(of: held, layers: heads.count)
    let scores = heads.indices.map { layer in
      (0..<heads[layer]).map { head -> [Float] in
        guard held > counts[layer],
          let numbers = mass.numbers(layer: layer, head: head, of: heads[layer])
        else { return [] }
        return scoring.scores(numbers, tokens: tokens, pageTokens: pageTokens)
      }
    }
    return (counts, scores)
  }
}
