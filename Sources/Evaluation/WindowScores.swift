/// What came out of one sample.
package struct WindowScore: Sendable, Hashable {
  /// −log p of the scored tokens, added up.
  package var nats = 0.0
  package var tokens = 0
  /// Whether each scored token was the likeliest one: then greedy decoding gives all of them.
  package var isExact = true
  /// How long the tokens took that were timed.
  package var seconds = 0.0
  package var timed = 0

  package init() {}

  package init(nats: Double, tokens: Int, isExact: Bool = true, seconds: Double = 0, timed: Int = 0)
  {
    (self.nats, self.tokens, self.isExact) = (nats, tokens, isExact)
    (self.seconds, self.timed) = (seconds, timed)
  }
}

/// What came out of the samples of one policy and budget.
package struct WindowScores: Sendable, Hashable {
  package let windows: [WindowScore]

  package init(_ windows: [WindowScore]) { self.windows = windows }

  package var tokens: Int { windows.reduce(0) { $0 + $1.tokens } }
  package var natsPerToken: Double { Self.mean(windows.map(\.nats), over: tokens) }

  /// Of ``natsPerToken``, over windows: tokens of one window are not independent.
  package var standardError: Double { Self.error(windows.map(\.nats), windows.map(\.tokens)) }

  /// Of windows whose scored tokens were all the likeliest.
  package var accuracy: Double {
    windows.isEmpty ? 0 : Double(windows.count { $0.isExact }) / Double(windows.count)
  }

  package var tokensPerSecond: Double {
    let seconds = windows.reduce(0) { $0 + $1.seconds }
    return seconds > 0 ? Double(windows.reduce(0) { $0 + $1.timed }) / seconds : 0
  }

  /// How many nats per token more than another policy on the same samples, and the standard error of
  /// that: some windows are hard for everyone, which cancels out.
  package func difference(from other: WindowScores) -> (mean: Double, standardError: Double) {
    precondition(windows.map(\.tokens) == other.windows.map(\.tokens))
    let nats = zip(windows, other.windows).map { $0.nats - $1.nats }
    return (Self.mean(nats, over: tokens), Self.error(nats, windows.map(\.tokens)))
  }

  private static func mean(_ sums: [Double], over tokens: Int) -> Double {
    tokens == 0 ? 0 : sums.reduce(0, +) / Double(tokens)
  }

  /// Of a ratio of two sums (Cochran, 1977); where all windows have as many tokens, it is the standard
  /// error of a mean.
  private static func error(_ sums: [Double], _ tokens: [Int]) -> Double {
    let (count, total) = (Double(sums.count), tokens.reduce(0, +))
    guard sums.count > 1, total > 0 else { return 0 }
    let mean = Self.mean(sums, over: total)
    let squares = zip(sums, tokens).reduce(0) { sum, window in
      let rest = window.0 - mean * Double(window.1)
      return sum + rest * rest
    }
    return (squares * count / (count - 1)).squareRoot() / Double(total)
  }
}
