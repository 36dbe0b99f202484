import Evaluation
import Testing

@Suite struct WindowScoresTests {
  private func scores(_ nats: [Double], tokens: Int = 2) -> WindowScores {
    WindowScores(nats.map { WindowScore(nats: $0, tokens: tokens) })
  }

  /// By hand: means of windows 1, 2, 3, 6; their mean 3, their variance 14 / 3.
  @Test func theStandardErrorIsThatOfWindows() {
    let some = scores([2, 4, 6, 12])
    #expect(some.tokens == 8 && some.natsPerToken == 3)
    #expect(abs(some.standardError - (14.0 / 3 / 4).squareRoot()) < 1e-12)
    #expect(scores([5]).standardError == 0 && scores([]).natsPerToken == 0)
  }

  /// What is hard for both is no difference.
  @Test func pairsCancelWhatIsHardForBoth() {
    let (full, other) = (scores([2, 40, 6, 100]), scores([2.4, 40.8, 6.4, 100.8]))
    let beside = other.difference(from: full)
    #expect(abs(beside.mean - 0.3) < 1e-12)
    // Differences of windows 0.2, 0.4, 0.2, 0.4: variance 0.04 / 3.
    #expect(abs(beside.standardError - (0.04 / 3 / 4).squareRoot()) < 1e-12)
    #expect(other.standardError > 5)
    #expect(full.difference(from: full) == (0, 0))
  }

  /// Long windows weigh more, and a window that is as its mean adds no error.
  @Test func windowsMayDiffer() {
    let even = WindowScores([
      WindowScore(nats: 3, tokens: 1), WindowScore(nats: 9, tokens: 3),
    ])
    #expect(even.natsPerToken == 3 && even.standardError == 0)
    let odd = WindowScores([
      WindowScore(nats: 5, tokens: 1), WindowScore(nats: 7, tokens: 3),
    ])
    #expect(odd.natsPerToken == 3)
    // Rests 2 and -2: the root of 8 · 2 / 1, over 4 tokens.
    #expect(abs(odd.standardError - 1) < 1e-12)
  }

  @Test func speedAndAnswersAreCounted() {
    let scores = WindowScores([
      WindowScore(nats: 1, tokens: 5, isExact: true, seconds: 1, timed: 10),
      WindowScore(nats: 1, tokens: 5, isExact: false, seconds: 3, timed: 10),
    ])
    #expect(scores.tokensPerSecond == 5 && scores.accuracy == 0.5)
    #expect(WindowScores([]).tokensPerSecond == 0)
  }
}
