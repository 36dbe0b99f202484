package import Residency

/// Tokens that are to be run, and how far they have been.
///
/// There is no prefill phase and no decode phase: computed tokens chase the tokens there are.
package struct Sequence: Sendable {
  /// Tells sequences of one engine apart.
  package let id: Int
  package private(set) var tokens: [Int32]
  /// Tokens whose keys and values are in the cache.
  package internal(set) var computed = 0
  package internal(set) var table: PageTable
  /// Logits are wanted for tokens from this index on.
  package var wantedFrom: Int
  /// Tokens from this index on are generated, not of a prompt: a cache policy chooses what they read.
  package var generatedFrom: Int

  /// A sequence that has not begun; logits of its last token are wanted.
  package init(id: Int, tokens: [Int32], pageTokens: Int) {
    self.id = id
    self.tokens = tokens
    table = PageTable(pageTokens: pageTokens)
    wantedFrom = max(0, tokens.count - 1)
    generatedFrom = tokens.count
  }

  package var pending: Int { tokens.count - computed }

  /// Appends a token that was picked; its logits are wanted.
  package mutating func append(_ token: Int32) {
    wantedFrom = tokens.count
    tokens.append(token)
  }

  /// Appends tokens that nobody has picked yet; their logits are wanted too.
  package mutating func propose(_ proposed: [Int32]) { tokens += proposed }

  /// Takes tokens at the end back, and gives back the pages that only they are in.
  ///
  /// - Parameters:
  ///   - count: Tokens that stay.
  ///   - pool: Where the sequence's pages are from.
  package mutating func truncate(to count: Int, pool: inout PagePool) {
    precondition(count <= tokens.count)
    tokens.removeLast(tokens.count - count)
    computed = min(computed, count)
    table.shrink(to: computed, pool: &pool)
  }

  /// Becomes the sequence of other tokens and keeps what is computed of those with which both
  /// begin. The last token is computed anew: its logits are wanted.
  ///
  /// - Parameters:
  ///   - other: Its tokens.
  ///   - pool: Where its pages are from.
  ///   - keepsGenerated: Whether generated tokens count as computed; where they have read a part of the
  ///     cache only, a prompt may not.
  package mutating func become(
    _ other: [Int32], pool: inout PagePool, keepsGenerated: Bool = true
  ) {
    let kept = keepsGenerated ? computed : min(computed, generatedFrom)
    computed = zip(other.dropLast(), tokens.prefix(kept)).prefix { $0 == $1 }.count
    table.shrink(to: computed, pool: &pool)
    tokens = other
    wantedFrom = max(0, other.count - 1)
    generatedFrom = other.count
  }

  /// Gives the sequence's pages back.
  package mutating func release(to pool: inout PagePool) {
    table.release(to: &pool)
    computed = 0
  }
}
