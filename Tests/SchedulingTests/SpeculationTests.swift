import Residency
import Scheduling
import Testing

@Suite struct SpeculationTests {
  /// What the lookup says, found by looking everywhere.
  private func oracle(_ tokens: [Int32], _ count: Int) -> [Int32] {
    for length in [4, 3, 2] where tokens.count > length {
      let last = Array(tokens.suffix(length))
      for end in (length..<tokens.count).reversed()
      where Array(tokens[end - length..<end]) == last {
        var text = tokens
        for place in end..<end + count { text.append(text[place]) }
        return Array(text.suffix(count))
      }
    }
    return []
  }

  /// Texts of few different tokens repeat themselves all the time, texts of many seldom.
  @Test(arguments: [2, 3, 7, 40])
  func proposalsAreWhatALookEverywhereFinds(variety: Int) {
    var random = SystemRandomNumberGenerator()
    var (found, nothing) = (0, 0)
    for _ in 0..<20 {
      var lookup = PromptLookup()
      for _ in 0..<120 {
        for count in [1, 2, 9] {
          let proposed = lookup.propose(count)
          #expect(proposed == oracle(lookup.tokens, count), "\(lookup.tokens)")
          if proposed.isEmpty { nothing += 1 } else { found += 1 }
        }
        lookup.append(Int32(random.next(upperBound: UInt(variety))))
      }
    }
    #expect(found > 0 && nothing > 0)
    #expect(PromptLookup().propose(0).isEmpty)
  }

  @Test func theLongestAndThenTheLatestOccurrenceCounts() {
    var lookup = PromptLookup()
    for token: Int32 in [1, 2, 3, 4, 50, 2, 3, 4, 60, 3, 4, 70, 1, 2, 3, 4] { lookup.append(token) }
    #expect(lookup.propose(2) == [50, 2])
    var circle = PromptLookup()
    for token: Int32 in [7, 8, 9, 7, 8] { circle.append(token) }
    #expect(circle.propose(7) == [9, 7, 8, 9, 7, 8, 9])
  }

  private func circles(most: Int) -> Speculator {
    var speculator = Speculator(most: most)
    for token in 0..<12 { speculator.append(Int32(token % 3)) }
    return speculator
  }

  @Test func whatIsRightIsProposedInLongerRuns() {
    var speculator = circles(most: 15)
    var lengths: [Int] = []
    for _ in 0..<4 {
      let proposed = speculator.propose(room: 100)
      lengths.append(proposed.count)
      speculator.learn(accepted: proposed.count, of: proposed.count, took: .seconds(1))
    }
    #expect(lengths == [2, 8, 15, 15])
    #expect(speculator.propose(room: 4).count == 4 && speculator.propose(room: 0).isEmpty)
    #expect(speculator.propose(room: 9, endTokens: [2]) == [0, 1])
    // One that is wrong makes them short again.
    speculator.learn(accepted: 14, of: 15, took: .zero)
    #expect(speculator.propose(room: 100).count == 2)
    var single = circles(most: 1)
    #expect(single.propose(room: 9).count == 1)
    single.learn(accepted: 1, of: 1, took: .zero)
    #expect(single.propose(room: 9).count == 1)
    var endless = circles(most: .max)
    for _ in 0..<99 { endless.learn(accepted: 2, of: 2, took: .zero) }
    #expect(endless.propose(room: 30).count == 30)
  }

  /// Pauses double where proposals cost more than they gain, and end with one that pays.
  @Test func whatDoesNotPayIsTriedSeldom() {
    func gaps(_ speculator: inout Speculator, accepted: Int, took: Duration, steps: Int) -> [Int] {
      var gaps: [Int] = []
      var gap = 0
      for _ in 0..<steps {
        if speculator.propose(room: 9).isEmpty {
          gap += 1
          speculator.learn(accepted: 0, of: 0, took: .milliseconds(10))
        } else {
          gaps.append(gap)
          gap = 0
          speculator.learn(accepted: accepted, of: 2, took: took)
        }
      }
      return gaps
    }
    var speculator = circles(most: 8)
    let wrong = gaps(&speculator, accepted: 0, took: .milliseconds(12), steps: 70)
    #expect(wrong == [0, 1, 2, 4, 8, 16, 16])
    // Two tokens in less time than two steps pay, in more they do not.
    speculator = circles(most: 8)
    speculator.learn(accepted: 0, of: 0, took: .milliseconds(10))
    let paying = gaps(&speculator, accepted: 1, took: .milliseconds(19), steps: 9)
    #expect(paying == [Int](repeating: 0, count: 9))
    #expect(gaps(&speculator, accepted: 1, took: .milliseconds(21), steps: 9) == [0, 1, 2])
    #expect(
      gaps(&speculator, accepted: 2, took: .milliseconds(99), steps: 9).suffix(4) == [0, 0, 0, 0])
  }

  /// A sequence that takes proposals back is as if they had never been, and so is the pool.
  @Test func whatIsTakenBackLeavesNothing() throws {
    var pool = PagePool(pageCount: 10, pageTokens: 4)
    var sequences = [Sequence(id: 0, tokens: [1, 2, 3, 4, 5], pageTokens: 4)]
    let scheduler = Scheduler(rowBudget: 16, outputBudget: 9)
    _ = try scheduler.next(&sequences, pool: &pool)
    sequences[0].append(6)
    sequences[0].propose([7, 8, 9, 10, 11])
    let step = try scheduler.next(&sequences, pool: &pool)
    #expect(step.tokens == [6, 7, 8, 9, 10, 11])
    #expect(step.outputs.map(\.token) == [5, 6, 7, 8, 9, 10])
    #expect(pool.freeCount == 7 && sequences[0].computed == 11)
    sequences[0].truncate(to: 8, pool: &pool)
    #expect(pool.freeCount == 8 && sequences[0].computed == 8)
    #expect(sequences[0].tokens == [1, 2, 3, 4, 5, 6, 7, 8])
    sequences[0].append(20)
    let next = try scheduler.next(&sequences, pool: &pool)
    #expect(next.tokens == [20] && next.positions == [8])
    #expect(next.outputs == [StepPlan.Output(sequence: 0, token: 8)])
    sequences[0].truncate(to: 0, pool: &pool)
    #expect(pool.freeCount == 10 && sequences[0].computed == 0)
  }
}
