import Devices
import DiskCache
import Evaluation
import Residency
import Runtime
import Tokenization

/// What one kv head of a layer read of the cache for a generated token.
public struct CacheDecision: Sendable, Hashable {
  /// The layer.
  public var layer: Int
  /// The kv head.
  public var head: Int
  /// Pages of 16 tokens that were read, counted from the beginning of the text.
  public var pages: [Int]
  /// A score of each page but the last, where pages were chosen by scores; with the first token a score of each page of
  /// the prompt, where it was decided by these what to keep of it.
  public var scores: [Float]?
  /// What these pages hold of the attention that would go to all pages if all were read, from 0 to 1, where pages are
  /// chosen for each token. With the first token, where it was decided what to keep of the prompt: what was kept
  /// holds of the attention by which that was decided. Nil in layers that always read everything, and where a run is
  /// replayed.
  public var attention: Float?

  /// A decision.
  public init(
    layer: Int, head: Int, pages: [Int], scores: [Float]? = nil, attention: Float? = nil
  ) {
    (self.layer, self.head, self.pages) = (layer, head, pages)
    (self.scores, self.attention) = (scores, attention)
  }
}

/// A generated token, and what was read for it.
public struct CacheStep: Sendable, Hashable {
  /// The token's place in the text.
  public var position: Int
  /// The token that was computed.
  public var token: Int32
  /// The first half of the SHA-256 of its logits, in hexadecimal digits: two that are alike are of the same bits.
  public var logits: String
  /// For each layer and kv head.
  public var decisions: [CacheDecision]

  /// A step.
  public init(position: Int, token: Int32, logits: String, decisions: [CacheDecision]) {
    (self.position, self.token) = (position, token)
    (self.logits, self.decisions) = (logits, decisions)
  }

  fileprivate init(_ step: ExplainedStep) {
    let bytes = step.logits.withUnsafeBytes { Array($0) }
    position = step.position
    token = step.token
    logits = SHA256.digest(bytes).prefix(16).map { byte in
      (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }.joined()
    decisions = step.choices.flatMap { choice in
      choice.pages.indices.map { head in
        CacheDecision(
          layer: choice.layer, head: head, pages: choice.pages[head],
          scores: choice.scores?[head], attention: choice.shares?[head])
      }
    }
  }

  /// Which pages each layer read in each step, as SVG: dark where all its kv heads did. Beside them what they hold of the
  /// attention, where that is known.
  public static func plot(_ steps: [CacheStep], title: String) -> String {
    PagesPlot(
      title: title,
      steps: steps.map { step in
        Dictionary(grouping: step.decisions, by: \.layer).mapValues { decisions in
          PagesPlot.Row(
            pages: decisions.map(\.pages), attention: decisions.compactMap(\.attention))
        }
      }
    ).text
  }
}

extension LanguageModel {
  /// Generates the likeliest tokens and tells which pages of the cache each of them read. The model has to be loaded
  /// with ``LoadOptions/cacheReport``.
  ///
  /// - Parameters:
  ///   - prompt: What to continue; it is computed with all that it sees.
  ///   - limit: Tokens at most.
  ///   - noted: What another run told, whose pages are read where the model was loaded with
  ///     ``CacheReport/replays``.
  ///   - isCancelled: Asked before every step.
  /// - Returns: A step for each token.
  /// - Throws: ``ApusError`` where a device fails, or what is to be replayed is of another run.
  public func explainCache(
    _ prompt: Prompt, limit: Int, replaying noted: [CacheStep] = [],
    until isCancelled: @escaping @Sendable () -> Bool = { false }
  ) async throws(ApusError) -> [CacheStep] {
    let tokens = try tokens(of: prompt)
    let endTokens = text.tokenizer.endOfGeneration
    let layers = await engine.perform { loop in loop.choosingLayers }
    // Where a part of a prompt is kept, that is decided once.
    let promptPages = cachePolicy.evicts ? KVLayout.pages(tokens.count) : nil
    var lists: [Int: [Int: [[Int]]]] = [:]
    for (index, step) in noted.enumerated() {
      // The first position is not known before the prompt is; the others follow it.
      guard step.position == tokens.count + index else {
        throw ApusError(
          .request,
          "step \(index) of what is to be replayed is at position \(step.position), and of this prompt at "
            + "\(tokens.count + index): give the prompt that it was made with")
      }
      lists[step.position] = try step.lists(
        for: layers, promptPages: promptPages, policy: cachePolicy)
      guard let promptPages, let first = lists[tokens.count] else { continue }
      func kept(_ lists: [Int: [[Int]]]?) -> [Int: [[Int]]]? {
        lists?.mapValues { $0.map { $0.filter { $0 < promptPages } } }
      }
      if kept(lists[step.position]) != kept(first) {
        throw ApusError(
          .request,
          "step \(index) of what is to be replayed reads other pages of the prompt than step 0: \(policy.rawValue) "
            + "drops pages once, for all tokens")
      }
    }
    let limit = noted.isEmpty ? limit : noted.count
    do throws(EngineError) {
      let wanted = lists
      return try await engine.perform { loop throws(EngineError) in
        var steps: [CacheStep] = []
        try loop.explain(
          tokens, limit: limit, endTokens: endTokens, replaying: wanted, isCancelled: isCancelled
        ) { steps.append(CacheStep($0)) }
        return steps
      }
    } catch { throw ApusError(error) }
  }
}

extension CacheStep {
  /// Lists for the layers that choose, or that keep a part of the pages that the prompt began.
  ///
  /// - Throws: ``ApusError`` where one of them cannot be read for this position.
  fileprivate func lists(
    for layers: [Int: (heads: Int, pages: Int)], promptPages: Int?, policy: CachePolicy
  ) throws(ApusError) -> [Int: [[Int]]] {
    let held = KVLayout.pages(position + 1)
    let found = Dictionary(grouping: decisions, by: \.layer)
    var lists: [Int: [[Int]]] = [:]
    for (layer, shape) in layers.sorted(by: { $0.key < $1.key }) {
      let decisions = (found[layer] ?? []).sorted { $0.head < $1.head }
      guard decisions.map(\.head) == Array(0..<shape.heads) else {
        throw refusal(layer, "there is not one decision for each of its \(shape.heads) kv heads")
      }
      for decision in decisions {
        let pages = decision.pages
        let count = promptPages == nil ? min(held, shape.pages) : decisions[0].pages.count
        // The row's own window is read, and what was generated, and the page that it began in.
        let own = held - PageChoice.own(of: held, window: policy.window)
        let always = min(own, promptPages.map { $0 - 1 } ?? own)..<held
        if policy.method == .sinksTurned, pages.first != 0 {
          throw refusal(layer, "kv head \(decision.head) needs page 0, which is read apart")
        }
        guard pages.count == count, pages.suffix(always.count).elementsEqual(always),
          (pages.first ?? -1) >= 0, zip(pages, pages.dropFirst()).allSatisfy({ $0 < $1 })
        else {
          throw refusal(
            layer,
            "kv head \(decision.head) needs \(count) pages in order, the last of which is \(held - 1)"
              + (always.count > 1 ? ", and all from \(always.lowerBound) on" : ""))
        }
      }
      lists[layer] = decisions.map(\.pages)
    }
    return lists
  }

  private func refusal(_ layer: Int, _ reason: String) -> ApusError {
    ApusError(
      .request,
      "what is to be replayed does not go with this model and budget: at position \(position), layer \(layer), "
        + reason)
  }
}
