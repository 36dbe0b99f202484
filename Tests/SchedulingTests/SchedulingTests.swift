import Residency
import Scheduling
import Testing

@Suite struct SchedulingTests {
  private func sequence(_ count: Int, id: Int = 0) -> Sequence {
    Sequence(id: id, tokens: (0..<Int32(count)).map { $0 + 100 }, pageTokens: 4)
  }

  @Test func aPromptIsCutIntoStepsOfTheBudget() throws {
    var pool = PagePool(pageCount: 10, pageTokens: 4)
    var sequences = [sequence(10)]
    let scheduler = Scheduler(rowBudget: 4, outputBudget: 1)
    var seen: [Int32] = []
    var outputs: [StepPlan.Output] = []
    var steps = 0
    while sequences[0].pending > 0 {
      let plan = try scheduler.next(&sequences, pool: &pool)
      #expect(plan.rowCount <= 4)
      seen += plan.tokens
      outputs += plan.outputs
      for (position, end) in zip(plan.positions, plan.end) { #expect(end == position + 1) }
      steps += 1
    }
    #expect(steps == 3)
    #expect(seen == (100..<110).map { Int32($0) })
    #expect(outputs == [StepPlan.Output(sequence: 0, token: 9)])
    #expect(pool.freeCount == 7)
    sequences[0].release(to: &pool)
    #expect(pool.freeCount == 10)
  }

  /// Generated tokens may have read a part of the cache: a prompt that goes on behind them has them anew.
  @Test(arguments: [true, false])
  func generatedTokensAreKeptWhereTheyReadAll(_ keepsGenerated: Bool) throws {
    var pool = PagePool(pageCount: 10, pageTokens: 4)
    var sequences = [sequence(10)]
    let scheduler = Scheduler(rowBudget: 16, outputBudget: 1)
    _ = try scheduler.next(&sequences, pool: &pool)
    for token in 0..<3 {
      sequences[0].append(Int32(token))
      _ = try scheduler.next(&sequences, pool: &pool)
    }
    let tokens = sequences[0].tokens
    #expect(sequences[0].computed == 13)
    sequences[0].leave(to: &pool, generated: keepsGenerated)
    #expect(pool.freeCount == 10 && pool.restingCount == (keepsGenerated ? 4 : 3))
    var next = Sequence(id: 0, tokens: tokens + [7, 8], pageTokens: 4)
    next.adopt(from: &pool)
    #expect(next.computed == (keepsGenerated ? 13 : 10))
    next.release(to: &pool)
    #expect(pool.freeCount == 10)
  }

  @Test func wantedRowsKeepWithinTheOutputBudget() throws {
    var pool = PagePool(pageCount: 10, pageTokens: 4)
    var sequences = [sequence(12)]
    sequences[0].wantedFrom = 5
    let scheduler = Scheduler(rowBudget: 8, outputBudget: 2)
    var wanted: [Int] = []
    while sequences[0].pending > 0 {
      let plan = try scheduler.next(&sequences, pool: &pool)
      #expect(plan.rowCount > 0 && plan.outputRows.count <= 2)
      for (row, output) in zip(plan.outputRows, plan.outputs) {
        #expect(plan.positions[Int(row)] == Int32(output.token))
      }
      wanted += plan.outputs.map(\.token)
    }
    #expect(wanted == Array(5..<12))
  }

  @Test func sequencesShareAStepAndKeepTheirPages() throws {
    var pool = PagePool(pageCount: 10, pageTokens: 4)
    var sequences = [sequence(3, id: 1), sequence(6, id: 2)]
    let plan = try Scheduler(rowBudget: 16, outputBudget: 4).next(&sequences, pool: &pool)
    #expect(plan.rowCount == 9)
    #expect(plan.outputs.map(\.sequence) == [1, 2])
    #expect(plan.table == [0, 0, 0] + [1, 1, 1, 1, 1, 1])
    #expect(Set(plan.slots).count == 9)
    #expect(Set(plan.tables).count == 3)
  }

  @Test func aFullCacheIsAnErrorWithASentence() {
    var pool = PagePool(pageCount: 1, pageTokens: 4)
    var sequences = [sequence(5)]
    let error = #expect(throws: SchedulingError.self) {
      try Scheduler(rowBudget: 8, outputBudget: 1).next(&sequences, pool: &pool)
    }
    #expect(error.map { "\($0)".contains("-c") } == true)
    #expect(pool.freeCount == 1)
  }

  @Test func aWindowMovesWhereARowBeginsToSee() throws {
    var pool = PagePool(pageCount: 10, pageTokens: 4)
    var sequences = [sequence(3, id: 1), sequence(6, id: 2)]
    let plan = try Scheduler(rowBudget: 16, outputBudget: 4).next(&sequences, pool: &pool)
    #expect(plan.begin(window: nil) == [0, 0, 0, 0, 0, 0, 0, 0, 0])
    #expect(plan.begin(window: 1) == [0, 1, 2, 0, 1, 2, 3, 4, 5])
    #expect(plan.begin(window: 4) == [0, 0, 0, 0, 0, 0, 0, 1, 2])
    #expect(plan.begin(window: .max) == plan.begin)
  }

  @Test func anAppendedTokenIsRunAloneAndWanted() throws {
    var pool = PagePool(pageCount: 4, pageTokens: 4)
    var sequences = [sequence(3)]
    let scheduler = Scheduler(rowBudget: 8, outputBudget: 1)
    _ = try scheduler.next(&sequences, pool: &pool)
    sequences[0].append(7)
    let plan = try scheduler.next(&sequences, pool: &pool)
    #expect(plan.tokens == [7] && plan.positions == [3] && plan.end == [4])
    #expect(plan.outputs == [StepPlan.Output(sequence: 0, token: 3)])
  }

  @Test func stepsSayHowDeepTheySeeAndHowTheyRun() {
    var step = StepPlan()
    #expect(step.depth == 0 && step.runs == 0)
    (step.end, step.table) = ([5, 6, 40, 9], [0, 0, 3, 0])
    #expect(step.depth == 40 && step.runs == 3)
  }

  /// Prompts and generated tokens never share a step where the latter read chosen pages, and of those
  /// there is one row of each sequence.
  @Test func chosenRowsHaveStepsOfTheirOwn() throws {
    var pool = PagePool(pageCount: 40, pageTokens: 4)
    var sequences = [sequence(9), sequence(6, id: 1), sequence(5, id: 2)]
    sequences[0].generatedFrom = 6
    sequences[1].generatedFrom = 3
    let scheduler = Scheduler(rowBudget: 8, outputBudget: 8, chosenRowBudget: 2)
    var seen: [Int: [Int32]] = [:]
    while sequences.contains(where: { $0.pending > 0 }) {
      let before = sequences
      let plan = try scheduler.next(&sequences, pool: &pool)
      #expect(plan.rowCount > 0)
      for (old, new) in zip(before, sequences) where old.computed < new.computed {
        #expect(plan.chooses == (old.computed >= old.generatedFrom))
        #expect(!plan.chooses || new.computed == old.computed + 1)
        seen[new.id, default: []] += new.tokens[old.computed..<new.computed]
      }
      #expect(!plan.chooses || (plan.rowCount <= 2 && plan.runs == plan.rowCount))
    }
    for sequence in sequences { #expect(seen[sequence.id] == sequence.tokens) }
    // Without a policy nothing of it matters.
    var plain = [sequence(9)]
    plain[0].generatedFrom = 2
    let whole = try Scheduler(rowBudget: 16, outputBudget: 1).next(&plain, pool: &pool)
    #expect(whole.rowCount == 9 && !whole.chooses)
  }

  /// Rows behind few tokens read all, one a step all the same.
  @Test func fewTokensAreReadAlike() throws {
    var pool = PagePool(pageCount: 40, pageTokens: 4)
    var sequences = [sequence(20)]
    sequences[0].generatedFrom = 10
    let scheduler = Scheduler(rowBudget: 8, outputBudget: 8, chosenRowBudget: 2, chosenFrom: 16)
    var steps: [(rows: Int, chooses: Bool)] = []
    while sequences[0].pending > 0 {
      let plan = try scheduler.next(&sequences, pool: &pool)
      steps.append((plan.rowCount, plan.chooses))
    }
    #expect(steps.map(\.rows) == [8, 2] + [Int](repeating: 1, count: 10))
    #expect(steps.map(\.chooses) == (0..<12).map { $0 >= 8 })
  }

  /// Where the latest tokens are kept apart, steps end where their places do, wherever they begin.
  @Test func stepsEndWithTheirWindow() throws {
    var pool = PagePool(
      pageCount: 40, pageTokens: 4,
      window: WindowPlaces(count: 2, tokens: 8, isAligned: true, pageCount: 40))
    var sequences = [sequence(30)]
    let scheduler = Scheduler(rowBudget: 16, outputBudget: 16)
    var ends: [Int32] = []
    while sequences[0].pending > 0 {
      let plan = try scheduler.next(&sequences, pool: &pool)
      ends.append(plan.end.last ?? 0)
      #expect(plan.latest == 8)
      #expect(plan.latestBegin == plan.end.map { ($0 - 1) / 8 * 8 })
      // All pages, and two of them: what is before the window, less what is left out.
      #expect(plan.end(pages: 40, pageTokens: 4) == plan.latestBegin)
      #expect(
        plan.end(pages: 2, pageTokens: 4)
          == zip(plan.latestBegin, plan.end).map { $0 - max(0, ($1 + 3) / 4 - 2) * 4 })
    }
    #expect(ends == [8, 16, 24, 30])
  }

  /// Long steps of a prompt that sees enough are sparse, and hold nothing else; all others are dense.
  @Test func sparseStepsAreLongAndOfOnePrompt() throws {
    var pool = PagePool(pageCount: 60, pageTokens: 4)
    var sequences = [sequence(41), sequence(20, id: 1)]
    sequences[0].generatedFrom = 38
    var sparse = SparseSteps()
    (sparse.fewestRows, sparse.fewestTokens) = (5, 16)
    let scheduler = Scheduler(rowBudget: 8, outputBudget: 8, sparse: sparse)
    var steps: [(isSparse: Bool, ends: [Int32])] = []
    while sequences.contains(where: { $0.pending > 0 }) {
      let plan = try scheduler.next(&sequences, pool: &pool)
      #expect(!plan.isSparse || (plan.runs == 1 && plan.table[0] == 0))
      steps.append((plan.isSparse, plan.end))
    }
    let ends = steps.filter(\.isSparse).map { [$0.ends[0], $0.ends[$0.ends.count - 1]] }
    #expect(ends == [[9, 16], [17, 24], [25, 32], [33, 38], [14, 20]])
    #expect(steps.map(\.isSparse) == [false, true, true, true, true, false, false, true])
  }

  /// Lists of chosen pages name the sequence's own pages, and end where the row's tokens end.
  @Test func chosenTablesAreOfTheSequencesPages() throws {
    var pool = PagePool(pageCount: 60, pageTokens: 4)
    var sequences = [sequence(38), sequence(7, id: 1)]
    for index in sequences.indices { sequences[index].generatedFrom = 0 }
    let policy = try CachePolicy(.sinks, budget: 12, pageTokens: 4)
    let scheduler = Scheduler(rowBudget: 8, outputBudget: 8, chosenRowBudget: 2)
    while sequences[1].pending > 0 || sequences[0].pending > 0 {
      let plan = try scheduler.next(&sequences, pool: &pool)
      let lists = plan.chosenTables(pages: 3, by: policy, pageTokens: 4)
      let ends = plan.end(pages: 3, pageTokens: 4)
      #expect(lists.count == 3 * plan.rowCount)
      for row in 0..<plan.rowCount {
        let own = Array(plan.tables[Int(plan.table[row])...].prefix(Int(plan.end[row] + 3) / 4))
        let wanted = own.count <= 3 ? own : [own[0]] + own.suffix(2)
        #expect(Array(lists[3 * row..<3 * row + wanted.count]) == wanted)
        let tokens = (0..<Int(plan.end[row])).count { wanted.contains(own[$0 / 4]) }
        #expect(Int(ends[row]) == tokens)
      }
    }
  }
}
