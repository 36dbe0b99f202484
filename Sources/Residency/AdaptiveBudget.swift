/// How many pages each layer keeps where all layers keep the same share of what is attended to (ZipVL, He et al., 2024):
/// few where a few pages have nearly all of it, and many where it is spread.
package enum AdaptiveBudget {
  /// Divides pages among layers. Beside those that are kept in any case, the first one and the latest, the largest ones
  /// count.
  ///
  /// - Parameters:
  ///   - masses: For each layer what each of its pages was attended to.
  ///   - budget: Pages of all layers together, `least` of each at least. Page after page goes to the layer with the
  ///     smallest share so far, the first of equal ones.
  ///   - least: Pages that each layer keeps at least.
  ///   - latest: How many of the latest pages are kept in any case.
  ///   - share: What is enough: a layer that has it keeps no more. With 1 the budget is used up.
  /// - Returns: Pages of each layer.
  package static func pages(
    _ masses: [[Double]], budget: Int, least: Int, latest: Int, share: Double
  ) -> [Int] {
    let layers = masses.map { Layer($0, latest: latest) }
    var pages = layers.map { min(least, $0.held) }
    var shares = zip(layers, pages).map { $0.share(of: $1) }
    var left = budget - pages.reduce(0, +)
    while left > 0 {
      let open = layers.indices.filter {
        pages[$0] < layers[$0].held && (share == 1 || shares[$0] < share)
      }
      guard let next = open.min(by: { shares[$0] < shares[$1] }) else { break }
      pages[next] += 1
      shares[next] = layers[next].share(of: pages[next])
      left -= 1
    }
    return pages
  }

  private struct Layer {
    let held: Int
    /// Pages that are kept in any case.
    private let always: Int
    /// The mass of these, and with ever more of the others, the largest first.
    private let sums: [Double]
    private let all: Double

    init(_ masses: [Double], latest: Int) {
      held = masses.count
      let others = masses.dropFirst().dropLast(latest).sorted(by: >)
      always = held - others.count
      all = masses.reduce(0, +)
      var sum = all - others.reduce(0, +)
      sums =
        [sum]
        + others.map { other in
          sum += other
          return sum
        }
    }

    func share(of pages: Int) -> Double {
      all > 0 ? sums[max(0, pages - always)] / all : 1
    }
  }
}

extension CachePolicy {
  /// Pages by shares of what observed rows attended to, over all heads; and the same scores for each head of a layer:
  /// what a token got of a row that sees it, as early tokens are seen by more rows.
  func ofEqualShares(
    _ tokens: Int, mass: PromptMass, heads: [Int], pageTokens: Int
  ) -> (counts: [Int], scores: [[[Float]]]) {
    let held = (tokens + pageTokens - 1) / pageTokens
    let ofTokens = heads.indices.map { layer in
      (0..<heads[layer]).reduce(into: [Float](repeating: 0, count: tokens)) { sums, head in
        guard let numbers = mass.numbers(layer: layer, head: head, of: heads[layer]) else { return }
        for (token, number) in numbers.prefix(tokens).enumerated() { sums[token] += number }
      }
    }
    let counts = AdaptiveBudget.pages(
      ofTokens.map { numbers in
        (0..<held).map { page in
          numbers.dropFirst(page * pageTokens).prefix(pageTokens).reduce(0) { $0 + Double($1) }
        }
      },
      budget: kept(of: held, layers: heads.count).reduce(0, +), least: fewestPages,
      latest: latest(of: fewestPages, held: held), share: share)
    var rows = [Float](repeating: 0, count: tokens)
    for probe in probes.among(0..<tokens, of: tokens) { rows[probe] += 1 }
    // Those that see a token: the last row sees all.
    for token in rows.indices.dropLast().reversed() { rows[token] += rows[token + 1] }
    let scores = zip(ofTokens, zip(heads, counts)).map { numbers, layer in
      let shares = zip(numbers, rows).map { $0 / $1 }
      let scores =
        held > layer.1
        ? scoring.scores(shares[...], tokens: tokens, pageTokens: pageTokens) : []
      return [[Float]](repeating: scores, count: layer.0)
    }
    return (counts, scores)
  }
}
