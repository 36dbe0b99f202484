#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A token that may still be picked.
package struct Candidate: Sendable, Hashable {
  package var token: Int32
  package var logit: Float

  /// Whether a candidate stands before another: the likelier one, of equals that with the lower id.
  fileprivate static func before(_ a: Candidate, _ b: Candidate) -> Bool {
    a.logit != b.logit ? a.logit > b.logit : a.token < b.token
  }
}

/// The tokens that may still be picked: likeliest first where `isOrdered`, else in order of their
/// ids. Equals stand in order of their ids, so that a seed decides the text.
///
/// No step sorts more of a vocabulary than it needs: sorting all of it costs more than a layer of
/// a small model.
package struct Candidates: Sendable {
  package private(set) var items: [Candidate]
  private var isOrdered: Bool

  /// The k likeliest tokens, all where k is 0. A logit that is not a number or is minus infinity
  /// bars its token.
  package init(_ logits: [Float], topK k: Int = 0) {
    isOrdered = k > 0 && k < logits.count
    var selection = Selection(capacity: isOrdered ? k : 0)
    items = []
    if !isOrdered { items.reserveCapacity(logits.count) }
    for (index, logit) in logits.enumerated() where logit > -.infinity {
      let candidate = Candidate(token: Int32(index), logit: min(logit, .greatestFiniteMagnitude))
      if isOrdered { selection.offer(candidate) } else { items.append(candidate) }
    }
    if isOrdered { items = selection.ordered() }
  }

  private var peak: Float {
    isOrdered
      ? items.first?.logit ?? 0 : items.reduce(-.infinity) { max($0, $1.logit) }
  }

  /// Each candidate's share, in their order.
  package func probabilities(temperature: Float = 1) -> [Float] {
    let peak = peak
    var shares = items.map { exp(($0.logit - peak) / temperature) }
    let total = Float(shares.reduce(0.0) { $0 + Double($1) })
    for index in shares.indices { shares[index] /= total }
    return shares
  }

  /// Keeps the candidates that are nearest to the expected information, up to a probability of `p`
  /// together (Meister et al., "Locally typical sampling", 2023).
  package mutating func keepTypical(_ p: Float) {
    guard p < 1, items.count > 1 else { return }
    let shares = probabilities()
    let expected = Float(shares.reduce(0.0) { $1 > 0 ? $0 - Double($1 * log($1)) : $0 })
    keep(p, of: shares, best: shares.map { -abs(-log($0) - expected) }, isEnough: >)
  }

  /// Keeps the fewest candidates that together have the probability `p`.
  package mutating func keepTopP(_ p: Float) {
    guard p < 1, items.count > 1 else { return }
    keep(p, of: probabilities(), best: items.map(\.logit), isEnough: >=)
  }

  /// Keeps the candidates with the highest scores whose shares together reach `p`; what is left
  /// stands in the order in which it stood.
  ///
  /// Histograms of the scores narrow the range where the line is drawn, until what is in it can be
  /// sorted: time in proportion to the candidates, whatever their scores.
  private mutating func keep(
    _ p: Float, of shares: [Float], best scores: [Float], isEnough: (Double, Double) -> Bool
  ) {
    var kept = [Bool](repeating: false, count: items.count)
    var open = Array(items.indices)
    var sum = 0.0
    while open.count > 512, let scale = Histogram(open, scores) {
      var masses = [Double](repeating: 0, count: Histogram.bins)
      for place in open { masses[scale.bin(scores[place])] += Double(shares[place]) }
      var line = 0
      while line < Histogram.bins, !isEnough(sum + masses[line], Double(p)) {
        sum += masses[line]
        line += 1
      }
      var rest: [Int] = []
      for place in open {
        let bin = scale.bin(scores[place])
        if bin < line { kept[place] = true } else if bin == line { rest.append(place) }
      }
      if rest.count == open.count { break }
      open = rest
    }
    open.sort { scores[$0] != scores[$1] ? scores[$0] > scores[$1] : $0 < $1 }
    for place in open {
      kept[place] = true
      sum += Double(shares[place])
      if isEnough(sum, Double(p)) { break }
    }
    items = zip(items, kept).compactMap { $1 ? $0 : nil }
  }

  /// Keeps candidates with at least the share `p` of the likeliest one's probability.
  package mutating func keepMinP(_ p: Float) {
    guard p > 0, !items.isEmpty else { return }
    let least = peak + log(p)
    items.removeAll { $0.logit < least }
  }

  /// Excludes the top choices: of the candidates with at least the probability `threshold` only the
  /// least likely stays.
  package mutating func excludeTopChoices(_ threshold: Float) {
    guard threshold <= 0.5, items.count > 1 else { return }
    let top = zip(items, probabilities()).compactMap { $1 >= threshold ? $0 : nil }
    guard let last = top.max(by: Candidate.before), top.count > 1 else { return }
    items.removeAll { Candidate.before($0, last) }
  }

  /// The likeliest candidate.
  package var first: Candidate? {
    isOrdered ? items.first : items.min(by: Candidate.before)
  }
}

/// Equal parts of the range of some scores, the highest first.
private struct Histogram {
  static let bins = 512

  private let highest: Float
  private let binsPerScore: Float

  /// Nil where the scores are all alike, or too far apart to be divided.
  init?(_ places: [Int], _ scores: [Float]) {
    var (lowest, highest) = (Float.infinity, -Float.infinity)
    for place in places where scores[place] > -.infinity {
      lowest = min(lowest, scores[place])
      highest = max(highest, scores[place])
    }
    binsPerScore = Float(Self.bins - 1) / (highest - lowest)
    guard binsPerScore > 0, binsPerScore < .infinity else { return nil }
    self.highest = highest
  }

  /// The part in which a score is. A score that is infinitely low is in the last.
  func bin(_ score: Float) -> Int {
    Int(min((highest - score) * binsPerScore, Float(Self.bins - 1)))
  }
}

/// The likeliest few of many candidates, without sorting the others: a heap whose root is the least
/// likely of those that are kept.
private struct Selection {
  private var heap: [Candidate] = []
  private let capacity: Int

  init(capacity: Int) {
    self.capacity = capacity
    heap.reserveCapacity(capacity)
  }

  mutating func offer(_ candidate: Candidate) {
    if heap.count < capacity {
      heap.append(candidate)
      if heap.count == capacity { arrange() }
    } else if Candidate.before(candidate, heap[0]) {
      heap[0] = candidate
      sink(0)
    }
  }

  private mutating func arrange() {
    for parent in (0..<heap.count / 2).reversed() { sink(parent) }
  }

  private mutating func sink(_ place: Int) {
    var parent = place
    while true {
      var last = parent
      let child = 2 * parent + 1
      if child < heap.count, Candidate.before(heap[last], heap[child]) { last = child }
      if child + 1 < heap.count, Candidate.before(heap[last], heap[child + 1]) { last = child + 1 }
      if last == parent { return }
      heap.swapAt(parent, last)
      parent = last
    }
  }

  func ordered() -> [Candidate] { heap.sorted(by: Candidate.before) }
}
