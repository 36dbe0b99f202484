import Devices
import ModelGraph
import Planning
import Residency
import Sampling
import Scheduling

/// What one generated token read in a layer.
package struct LayerChoice: Sendable, Hashable {
  package var layer: Int
  /// For each kv head its pages, counted from the beginning of the text and in order.
  package var pages: [[Int]]
  /// For each kv head a score of each page but the last, or of each page of the prompt where it was decided what to keep
  /// of that; nil where pages were not scored.
  package var scores: [[Float]]?
  /// For each kv head what its pages hold of the attention that would go to all pages, from 0 to 1; of a prompt that
  /// a part was kept of, of the attention by which that was decided.
  package var shares: [Float]?
}

/// One generated token, and what it read.
package struct ExplainedStep: Sendable, Hashable {
  package var position: Int
  /// The token that was computed.
  package var token: Int32
  package var choices: [LayerChoice]
  /// What it predicts.
  package var logits: [Float]
}

extension ExecutionPlan {
  /// An instruction of attention, where generated tokens run.
  struct Reader {
    var device: Int
    var layer: Int
    var attention: Attention
    /// Where its lists of pages lie.
    var tables: Operand
    /// The scores by which they were chosen, where there are some.
    var scores: Operand?
    /// What each token is attended to where all are read: a row for each kv head.
    var columns: Operand?
  }

  /// The attention of each layer, as generated tokens run it.
  var readers: [Reader] {
    var readers: [Reader] = []
    var (scores, columns): ([Int: Operand], [Int: Operand]) = ([:], [:])
    for case .run(let device, let instructions) in chosen?.steps ?? steps {
      for instruction in instructions.flatMap(\.parts) {
        guard let layer = instruction.layer else { continue }
        switch instruction.operation {
        case .choosePages: scores[layer] = instruction.inputs[0]
        case .sumColumns: columns[layer] = instruction.output
        case .attend(let attention, _) where !attention.isWindowStage:
          readers.append(
            Reader(
              device: device, layer: layer, attention: attention, tables: instruction.inputs[5],
              scores: scores[layer], columns: columns[layer]))
        default: continue
        }
      }
    }
    return readers
  }
}

extension ExecutionPlan {
  /// What a row reads that sees `end` tokens, where layers keep a part of a prompt.
  fileprivate func choices(_ kept: KeptPages, end: Int, withScores: Bool) -> [LayerChoice] {
    let held = KVLayout.pages(end)
    var place = 0
    return readers.map { reader in
      guard reader.attention.pages != nil else { return reader.all(end: end) }
      defer { place += 1 }
      let scores = withScores && place < kept.scores.count ? kept.scores[place] : []
      let isScored = scores.contains { !$0.isEmpty }
      return LayerChoice(
        layer: reader.layer,
        pages: kept.lists[place].map { $0 + (kept.held..<max(kept.held, held)) },
        scores: isScored ? scores : nil, shares: isScored ? kept.shares[place] : nil)
    }
  }
}

extension ExecutionPlan.Reader {
  /// All that a row sees that sees `end` tokens.
  fileprivate func all(end: Int) -> LayerChoice {
    let begin = attention.window.map { max(0, end - $0) } ?? 0
    let seen = Array(begin / KVLayout.pageTokens..<KVLayout.pages(end))
    return LayerChoice(layer: layer, pages: Array(repeating: seen, count: attention.kvHeadCount))
  }
}

extension Executor {
  /// What the row of the latest step read in each layer, which was of one sequence and one row. The plan has kept
  /// its lists (`Planner.keepsChoices`).
  ///
  /// - Parameters:
  ///   - end: Tokens that the row saw.
  ///   - table: The sequence's pages.
  /// - Returns: For each layer, in order.
  /// - Throws: `DeviceError` where they cannot be read.
  fileprivate func choices(end: Int, table: [Int32]) throws(DeviceError) -> [LayerChoice] {
    let held = KVLayout.pages(end)
    let places = Dictionary(uniqueKeysWithValues: table.prefix(held).enumerated().map { ($1, $0) })
    var choices: [LayerChoice] = []
    for reader in plan.readers {
      let (heads, device) = (reader.attention.kvHeadCount, devices[reader.device])
      guard let pages = reader.attention.pages,
        end > policy.chosenFrom(pageTokens: KVLayout.pageTokens)
      else {
        if choices.last?.layer != reader.layer { choices.append(reader.all(end: end)) }
        continue
      }
      let lists = try device.array(
        of: Int32.self, count: pages.areApart ? heads * pages.count : pages.count,
        at: reader.tables.region)
      var choice = LayerChoice(layer: reader.layer, pages: [])
      for head in 0..<heads {
        let first = pages.areApart ? head * pages.count : 0
        choice.pages.append(
          lists[first..<first + min(held, pages.count)].map { places[$0] ?? -1 })
      }
      // Pages that are read apart stand first.
      if choices.last?.layer == reader.layer, let sinks = choices.popLast()?.pages {
        choice.pages = zip(sinks, choice.pages).map { $0 + $1 }
      }
      if let scores = reader.scores, held > pages.count {
        let width = scores.width / heads
        let row = try device.array(of: Float.self, count: scores.width, at: scores.region)
        choice.scores = (0..<heads).map { Array(row[$0 * width..<$0 * width + held - 1]) }
      }
      if let columns = reader.columns {
        let mass = try device.array(
          of: Float.self, count: heads * columns.width, at: columns.region)
        choice.shares = (0..<heads).map { head in
          PageChoice.share(
            of: choice.pages[head], in: mass[head * columns.width..<(head + 1) * columns.width],
            pageTokens: KVLayout.pageTokens)
        }
      }
      choices.append(choice)
    }
    return choices
  }
}

extension EngineLoop {
  /// How many kv heads the layers have whose pages are chosen, and how many pages each reads at most.
  package var choosingLayers: [Int: (heads: Int, pages: Int)] {
    var layers: [Int: (heads: Int, pages: Int)] = [:]
    for reader in plan.readers {
      guard let pages = reader.attention.pages else { continue }
      let apart = layers[reader.layer]?.pages ?? 0
      layers[reader.layer] = (reader.attention.kvHeadCount, apart + pages.count)
    }
    return layers
  }

  /// Generates the likeliest tokens and tells what each read.
  ///
  /// - Parameters:
  ///   - prompt: What to continue; it is computed with all that it sees.
  ///   - limit: Tokens at most.
  ///   - endTokens: Nothing follows them.
  ///   - lists: Where the plan takes its pages from lists: for a position those of each layer and kv head, each with
  ///     as many pages as the layer reads of those that there are, in order, the last page among them. Where layers
  ///     keep a part of a prompt, the first ones say which.
  ///   - isCancelled: Asked before every step.
  ///   - body: Gets every step.
  /// - Throws: ``EngineError``; the steps before stay valid.
  package func explain(
    _ prompt: [Int32], limit: Int, endTokens: Set<Int32>, replaying lists: [Int: [Int: [[Int]]]],
    isCancelled: () -> Bool, _ body: (ExplainedStep) -> Void
  ) throws(EngineError) {
    try check(prompt, prompt: prompt.count)
    var sequence = begin(prompt, shares: false)
    var isSound = false
    if policy.evicts, let first = lists[prompt.count] {
      let held = KVLayout.pages(prompt.count)
      replayed = KeptPages(
        held: held,
        lists: choosingLayers.keys.sorted().map { layer in
          (first[layer] ?? []).map { $0.filter { $0 < held } }
        })
    }
    defer {
      (executor.lists, replayed) = ([:], nil)
      end(&sequence, shares: false, isSound: isSound)
    }
    var logits: [Float] = []
    for count in 0...limit {
      logits = []
      if count > 0 { executor.lists = lists[sequence.tokens.count - 1] ?? [:] }
      try advance(&sequence, isCancelled: isCancelled) { position, row throws(EngineError) in
        guard row.contains(where: { !$0.isNaN }) else { throw .notANumber(position: position) }
        logits = Array(row)
      }
      guard !logits.isEmpty else { break }
      if count > 0 {
        let position = sequence.tokens.count - 1
        let choices: [LayerChoice]
        if let kept = sequence.kept {
          choices = plan.choices(kept, end: position + 1, withScores: count == 1)
        } else {
          do throws(DeviceError) {
            choices = try executor.choices(end: position + 1, table: sequence.table.pages)
          } catch { throw .device(error) }
        }
        body(
          ExplainedStep(
            position: position, token: sequence.tokens[position], choices: choices,
            logits: logits))
      }
      let next = Sampler.likeliest(logits)
      if endTokens.contains(next) || sequence.tokens.count == contextLength { break }
      sequence.append(next)
    }
    isSound = true
  }
}
