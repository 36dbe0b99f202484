package import Residency

/// Decides what the next step runs. Pure: sequences and pool go in, a plan comes out.
package struct Scheduler: Sendable {
  /// Rows of a step at most.
  package let rowBudget: Int
  /// Rows with logits at most.
  package let outputBudget: Int

  package init(rowBudget: Int, outputBudget: Int) {
    precondition(rowBudget > 0 && outputBudget > 0)
    self.rowBudget = rowBudget
    self.outputBudget = outputBudget
  }

  /// Deals the budget out in order, and counts the dealt tokens as computed: the caller runs the
  /// step or gives the sequences up.
  ///
  /// - Throws: ``SchedulingError/cacheFull(sequence:tokens:capacity:)`` before anything changed
  ///   for the sequence that does not fit.
  package func next(
    _ sequences: inout [Sequence], pool: inout PagePool
  ) throws(SchedulingError) -> StepPlan {
    var plan = StepPlan()
    for index in sequences.indices {
      let first = sequences[index].computed
      let last = min(
        sequences[index].tokens.count, first + rowBudget - plan.rowCount,
        // No further than the outputs that still fit.
        max(first, sequences[index].wantedFrom) + outputBudget - plan.outputs.count)
      guard first < last else { continue }
      guard sequences[index].table.reserve(last, from: &pool) else {
        throw .cacheFull(
          sequence: sequences[index].id, tokens: last, capacity: pool.pageCount * pool.pageTokens)
      }
      plan.append(sequences[index], first..<last)
      sequences[index].computed = last
    }
    return plan
  }
}

extension StepPlan {
  fileprivate mutating func append(_ sequence: Sequence, _ range: Range<Int>) {
    let base = Int32(tables.count)
    tables += sequence.table.pages
    for token in range {
      if token >= sequence.wantedFrom {
        outputRows.append(Int32(rowCount))
        outputs.append(Output(sequence: sequence.id, token: token))
      }
      tokens.append(sequence.tokens[token])
      positions.append(Int32(token))
      slots.append(sequence.table.slot(of: token))
      begin.append(0)
      end.append(Int32(token + 1))
      table.append(base)
    }
  }
}
