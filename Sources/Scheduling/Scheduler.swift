package import Residency

/// Decides what the next step runs. Pure: sequences and pool go in, a plan comes out.
package struct Scheduler: Sendable {
  /// Rows of a step at most.
  package let rowBudget: Int
  /// Rows with logits at most.
  package let outputBudget: Int
  /// Rows at most of a step in which they read chosen pages, or nil where none ever does.
  package let chosenRowBudget: Int?
  /// Rows behind fewer tokens than that read all.
  package let chosenFrom: Int
  /// Rows of a prompt that are looked at, or nil where none are.
  package let probes: PromptProbes?
  /// From when on rows of a prompt attend to a part of what they see, or nil where they never do.
  package let sparse: SparseSteps?

  package init(
    rowBudget: Int, outputBudget: Int, chosenRowBudget: Int? = nil, chosenFrom: Int = 0,
    probes: PromptProbes? = nil, sparse: SparseSteps? = nil
  ) {
    precondition(rowBudget > 0 && outputBudget > 0 && chosenRowBudget != 0)
    self.rowBudget = rowBudget
    self.outputBudget = outputBudget
    self.chosenRowBudget = chosenRowBudget
    self.chosenFrom = chosenFrom
    self.probes = probes
    self.sparse = sparse
  }

  /// Deals the budget out in order, and counts the dealt tokens as computed: the caller runs the
  /// step or gives the sequences up.
  ///
  /// Where rows may read chosen pages, a step has either such rows, one of a sequence, or others: the
  /// first sequence that has something to do decides. Where rows of a prompt attend to a part of what they see, a
  /// step that does so has these rows only.
  ///
  /// Where rows of prompts are looked at, or layers look back over a window only, all rows of a step are of one
  /// sequence. Where the latest tokens are kept apart, a step ends where their pool does.
  ///
  /// - Throws: ``SchedulingError/cacheFull(sequence:tokens:capacity:)`` before anything is dealt
  ///   to the sequence that does not fit.
  package func next(
    _ sequences: inout [Sequence], pool: inout PagePool
  ) throws(SchedulingError) -> StepPlan {
    var plan = StepPlan()
    for index in sequences.indices where sequences[index].pending > 0 {
      if pool.window != nil {
        if plan.rowCount > 0 { break }
        sequences[index].rewind(pool: &pool)
      }
      let first = sequences[index].computed
      var last = min(
        sequences[index].tokens.count, first + rowBudget - plan.rowCount,
        // No further than the outputs that still fit.
        max(first, sequences[index].wantedFrom) + outputBudget - plan.outputs.count)
      if let window = pool.window {
        last = min(last, window.stepEnd(behind: first, pageTokens: pool.pageTokens))
      }
      var chooses = false
      if let chosenRowBudget {
        let isGenerated = first >= sequences[index].generatedFrom
        chooses = isGenerated && first >= chosenFrom
        if plan.rowCount > 0, plan.chooses != chooses || probes != nil { continue }
        last =
          isGenerated
          ? min(last, first + min(1, chosenRowBudget - plan.rowCount))
          : min(last, sequences[index].generatedFrom)
      }
      var isSparse = false
      if let sparse, first < sequences[index].generatedFrom {
        let end = min(last, sequences[index].generatedFrom)
        isSparse =
          plan.rowCount == 0 && end - first >= sparse.fewestRows && end >= sparse.fewestTokens
        if isSparse { last = end }
      }
      guard first < last, !plan.isSparse else { continue }
      plan.chooses = chooses
      plan.isSparse = isSparse
      guard sequences[index].table.reserve(last, from: &pool) else {
        throw .cacheFull(
          sequence: sequences[index].id, tokens: last, capacity: pool.pageCount * pool.pageTokens)
      }
      sequences[index].table.need(first..<last, pool: &pool)
      plan.append(
        sequences[index], first..<last, probes: chooses ? nil : probes,
        window: pool.window)
      if isSparse {
        plan.observed = ObservedRows.choose(of: last - first, position: first).map { Int32($0) }
      }
      sequences[index].computed = last
    }
    return plan
  }
}

extension StepPlan {
  fileprivate mutating func append(
    _ sequence: Sequence, _ range: Range<Int>, probes: PromptProbes?, window: WindowPlaces?
  ) {
    if chooses, let pages = sequence.kept {
      let generated = sequence.table.pages.dropFirst(pages.held)
      kept = pages.lists.map { heads in
        heads.map { list in list.map { sequence.table.pages[$0] } + generated }
      }
    }
    latest = window.flatMap { $0.isAligned ? $0.tokens : nil }
    let base = Int32(tables.count)
    tables += sequence.table.pages
    let places = window.map { window in sequence.table.pages.map { window.place(of: $0) ?? 0 } }
    windowTables += places ?? []
    let pageTokens = sequence.table.pageTokens
    observed += (probes?.among(range, of: sequence.generatedFrom) ?? []).map {
      Int32(rowCount + $0 - range.lowerBound)
    }
    for token in range {
      if token >= sequence.wantedFrom {
        outputRows.append(Int32(rowCount))
        outputs.append(Output(sequence: sequence.id, token: token))
      }
      tokens.append(sequence.tokens[token])
      positions.append(Int32(token))
      slots.append(sequence.table.slot(of: token))
      if let places {
        let place = Int(places[token / pageTokens])
        windowSlots.append(Int32(place * pageTokens + token % pageTokens))
      }
      begin.append(0)
      end.append(Int32(token + 1))
      table.append(base)
    }
  }
}
