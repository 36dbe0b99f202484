/// Which pages of the cache a row reads while a text is generated. The prompt is computed with all that
/// it sees, and so are layers with a window of their own.
package struct CachePolicy: Sendable, Hashable {
  package enum Method: String, Sendable, Hashable, CaseIterable {
    /// All pages.
    case full
    /// The first page and the last ones (StreamingLLM, Xiao et al., 2024): the first tokens take what
    /// attention has left over.
    case sinks
    /// The same as if the pages that are read were all that there are: the first one stands right before the last ones,
    /// where it does not in the text (the paper's positions in the cache).
    case sinksTurned = "sinks-turned"
    /// The first page, the last two, and those that may hold the keys with the largest products, which bounds of each
    /// page tell without reading it (Quest, Tang et al., 2024).
    case quest
    /// Of the prompt, the latest pages for one half of the budget, and those that all of it attended to most for the
    /// other (H2O, Zhang et al., 2023).
    case h2o
    /// Of the prompt, the pages that its end attended to most (SnapKV, Li et al., 2024).
    case snapkv
    /// The same, more of them in the first layers than in the last (PyramidKV, Cai et al., 2024).
    case pyramid
    /// Of the prompt, in each layer the fewest pages that have the same share of attention in all (ZipVL, He et al., 2024,
    /// where tokens that are left out are dropped).
    case zipvl
    /// The last page and others by chance, anew for each token: what a choice must beat.
    case random
  }

  package let method: Method
  /// Pages that a row reads at most, or that a layer keeps of a prompt, on average; nil for all.
  package let pages: Int?
  /// Pages of the windows that a text is cut into, where a row reads those of its own in any case; else 1.
  package let window: Int
  /// The share of attention beyond which a layer keeps no more pages: 1 for as many as the budget has. Of `zipvl` only.
  package let share: Double

  /// All pages.
  package static let full = CachePolicy(method: .full, pages: nil, window: 1, share: 1)

  /// Fewer pages leave no room for a choice beside those that are always read.
  package var fewestPages: Int { Self.fewestPages(window: window) }

  private static func fewestPages(window: Int) -> Int { 1 + max(2, window) }

  private init(method: Method, pages: Int?, window: Int, share: Double) {
    self.method = method
    self.pages = pages
    self.window = window
    self.share = share
  }

  /// A policy that reads so many tokens at most, those of a row's own window of so many pages among them.
  ///
  /// - Throws: ``PolicyError`` where the budget does not go with the method.
  package init(
    _ method: Method, budget: Int?, pageTokens: Int, window: Int = 1, share: Double = 1
  ) throws(PolicyError) {
    let least = Self.fewestPages(window: window) * pageTokens
    guard method != .full else {
      if let budget { throw .budgetOfFull(budget) }
      self = .full
      return
    }
    guard let budget else { throw .noBudget(method, least: least) }
    guard budget >= least else { throw .tooSmall(budget, least: least, pages: least / pageTokens) }
    guard budget % pageTokens == 0 else { throw .partOfPage(budget, pageTokens: pageTokens) }
    self.init(method: method, pages: budget / pageTokens, window: window, share: share)
  }

  /// Layers from the first on that read all: attention is spread over many tokens there.
  package var denseLayers: Int { method == .quest ? 2 : 0 }

  /// Whether the query of a row that chooses is no farther from a key than the budget has tokens, so that a text may become
  /// longer than any that the model was trained for.
  package var keepsDistancesShort: Bool { method == .sinksTurned }

  /// Rows behind fewer tokens read all.
  package func chosenFrom(pageTokens: Int) -> Int {
    method == .sinksTurned ? (pages ?? 0) * pageTokens : 0
  }

  /// The pages that a row reads of `held` ones, in order, where no scores are needed to tell; but for the first one where
  /// that is read apart. Chance depends on the row's position.
  package func choice(of held: Int, position: Int) -> [Int] {
    guard let pages, held > pages else { return Array(0..<held) }
    switch method {
    case .sinks: return PageChoice.sinks(pages, of: held)
    case .sinksTurned: return Array(PageChoice.sinks(pages, of: held).dropFirst())
    case .random:
      return PageChoice.random(
        pages, of: held, latest: PageChoice.own(of: held, window: window), seed: position)
    case .full, .quest, .h2o, .snapkv, .pyramid, .zipvl: return Array(0..<held)
    }
  }
}

/// Which pages to read of those that a sequence holds: pure functions, in order of tokens. The last page
/// is always among them.
package enum PageChoice {
  /// The first page and the last ones.
  package static func sinks(_ count: Int, of held: Int) -> [Int] {
    guard held > count else { return Array(0..<held) }
    return [0] + (held - count + 1..<held)
  }

  /// How many of so many pages are a row's own window: the text is cut into windows of `window` pages.
  package static func own(of held: Int, window: Int) -> Int {
    held - (held - 1) / window * window
  }

  /// Others by chance beside the latest (Floyd's algorithm for samples, Bentley & Floyd, 1987).
  package static func random(_ count: Int, of held: Int, latest: Int = 1, seed: Int) -> [Int] {
    guard held > count else { return Array(0..<held) }
    // The seeds of neighbouring tokens are neighbours; what is drawn from them must not be.
    var state = mixed(UInt64(truncatingIfNeeded: seed))
    var chosen = Set(held - latest..<held)
    for limit in held - count..<held - latest {
      state &+= 0x9E37_79B9_7F4A_7C15
      let page = Int(mixed(state) % UInt64(limit + 1))
      if !chosen.insert(page).inserted { chosen.insert(limit) }
    }
    return chosen.sorted()
  }

  /// SplitMix64 (Steele, Lea & Flood, 2014).
  private static func mixed(_ state: UInt64) -> UInt64 {
    var z = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// The first page, the latest ones, and those with the best scores of the others; of equal ones the first. There is
  /// a score for each page. It says what devices do, with two latest pages or those of a
  /// row's own window.
  package static func best(_ count: Int, scores: [Float], latest: Int = 2) -> [Int] {
    let held = scores.count
    guard held > count else { return Array(scores.indices) }
    let ranked = (1..<held - latest).sorted {
      scores[$0] == scores[$1] ? $0 < $1 : scores[$0] > scores[$1]
    }
    return [0] + ranked.prefix(count - 1 - latest).sorted() + (held - latest..<held)
  }

  /// What pages hold of all that tokens were attended to, where there is a number for each token: 0 to 1, and 1 for all
  /// pages.
  package static func share(
    of pages: [Int], in mass: ArraySlice<Float>, pageTokens: Int
  ) -> Float {
    func sum(_ pages: some Sequence<Int>) -> Double {
      pages.reduce(into: 0) { sum, page in
        for number in mass.dropFirst(page * pageTokens).prefix(pageTokens) { sum += Double(number) }
      }
    }
    let all = sum(0..<(mass.count + pageTokens - 1) / pageTokens)
    return all > 0 ? Float(sum(pages) / all) : 0
  }

  /// Tokens of the pages that a row does not read which sees the tokens before `end` and reads so many pages.
  package static func skipped(_ end: Int, pages: Int, pageTokens: Int) -> Int {
    max(0, (end + pageTokens - 1) / pageTokens - pages) * pageTokens
  }
}

/// A policy that a user asks for and that cannot be, in a sentence.
package enum PolicyError: Error, Sendable, Hashable, CustomStringConvertible {
  case budgetOfFull(Int)
  case noBudget(CachePolicy.Method, least: Int)
  case tooSmall(Int, least: Int, pages: Int)
  case partOfPage(Int, pageTokens: Int)

  package var description: String {
    switch self {
    case .budgetOfFull(let budget):
      "--kv-budget \(budget) goes with a --kv-policy that chooses (sinks, sinks-turned, quest, h2o, snapkv, pyramid, "
        + "zipvl, random); full reads all tokens"
    case .noBudget(let method, let least):
      "--kv-policy \(method.rawValue) needs --kv-budget, the tokens that are read for each new one: "
        + "\(least) or more"
    case .tooSmall(let budget, let least, let pages):
      "--kv-budget \(budget) is too small: \(least) tokens are the least, \(pages) pages"
    case .partOfPage(let budget, let pageTokens):
      "--kv-budget \(budget) is no whole number of pages of \(pageTokens) tokens: "
        + "\(budget / pageTokens * pageTokens) is one"
    }
  }
}
