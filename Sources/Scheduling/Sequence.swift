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

  /// What layers keep of the prompt, where they do not keep all of it.
  package private(set) var kept: KeptPages?

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

  /// Takes tokens at the end back, and gives back the pages that only they are in; what is left stays.
  ///
  /// - Parameters:
  ///   - count: Tokens that stay.
  ///   - pool: Where the sequence's pages are from.
  package mutating func truncate(to count: Int, pool: inout PagePool) {
    precondition(count <= tokens.count)
    precondition(kept == nil || count >= generatedFrom, "what a prompt lost does not come back")
    tokens.removeLast(tokens.count - count)
    computed = table.shrink(to: min(computed, count), pool: &pool)
    wantedFrom = max(0, count - 1)
  }

  /// Becomes the sequence of other tokens and keeps what is computed of those with which both
  /// begin. The last token is computed anew: its logits are wanted.
  package mutating func become(_ other: [Int32], pool: inout PagePool) {
    let common = zip(other.dropLast(), tokens.prefix(computed)).prefix { $0 == $1 }.count
    // What a prompt lost does not come back; but behind the whole of it any text may stand.
    if kept != nil, common < generatedFrom { release(to: &pool) }
    computed = table.shrink(to: min(common, computed), pool: &pool)
    rewind(pool: &pool)
    tokens = other
    wantedFrom = max(0, other.count - 1)
    if kept == nil { generatedFrom = other.count }
  }

  /// Goes back to where layers that look back over a window still have that, if other sequences took it from them.
  package mutating func rewind(pool: inout PagePool) {
    guard kept != nil else {
      computed = table.rewind(computed, pool: &pool)
      return
    }
    // What a prompt lost does not come back.
    if !table.isIntact(computed, pool: pool) { release(to: &pool) }
  }

  /// Keeps so much of the prompt, all of which is computed. Pages that no layer keeps go back, but for those that
  /// hold one of the last `window` tokens, which a layer with a window, or a row of the same window, still reads.
  package mutating func keep(_ pages: KeptPages, window: Int, pool: inout PagePool) {
    precondition(kept == nil && computed >= generatedFrom)
    kept = pages
    let before = max(0, generatedFrom - window) / table.pageTokens
    table.drop(pages.dropped.filter { $0 < before }, to: &pool)
  }

  /// Takes over what the pool has of its first tokens, but for those whose logits are wanted.
  package mutating func adopt(from pool: inout PagePool) {
    precondition(computed == 0 && table.pages.isEmpty)
    computed = table.adopt(tokens.prefix(wantedFrom), from: &pool)
  }

  /// Lets other sequences that begin alike read the full pages that it has computed, as far as its tokens are
  /// there to stay. To be called when the steps that compute them have run. Generated tokens that have read a part of
  /// the cache only are not what a prompt would be: then `generated` is false.
  package mutating func publish(pool: inout PagePool, generated: Bool = true) {
    table.publish(settled(generated: generated), pool: &pool)
  }

  /// Publishes the same, leaves the page at its end to whoever goes on from there, and gives the pages back.
  package mutating func leave(to pool: inout PagePool, generated: Bool = true) {
    table.leave(settled(generated: generated), to: &pool)
    computed = 0
  }

  /// Computed tokens that nobody will take back: behind the one whose logits are wanted there are proposed ones.
  package func settled(generated: Bool) -> ArraySlice<Int32> {
    tokens.prefix(min(computed, wantedFrom + 1, generated ? .max : generatedFrom))
  }

  /// Gives the sequence's pages back.
  package mutating func release(to pool: inout PagePool) {
    table.release(to: &pool)
    (computed, kept) = (0, nil)
  }
}
