import Devices
import ModelGraph
import Planning
import Residency

/// Keys and values of a text, as they lie in the caches of a plan.
package struct SavedCache: Sendable, Hashable {
  package var tokens: [Int32]
  /// What one cache after the other holds, page by page.
  package var pages: [UInt8]

  package init(tokens: [Int32], pages: [UInt8]) {
    self.tokens = tokens
    self.pages = pages
  }
}

extension ExecutionPlan {
  /// Bytes that so many tokens take in all caches, or nil where no number is so large.
  package func cachedBytes(tokens: Int) -> Int? {
    var sum = 0
    for cache in caches {
      let (bytes, overflow) = cachedPages(tokens, of: cache).count.multipliedReportingOverflow(
        by: cache.operand.format.rowBytes(cache.operand.width))
      let (next, more) = sum.addingReportingOverflow(bytes)
      if overflow || more { return nil }
      sum = next
    }
    return sum
  }

  /// Which pages of so many tokens a cache holds: where a layer looks back over a window, those that the next token
  /// reads.
  fileprivate func cachedPages(_ tokens: Int, of cache: Cache) -> Range<Int> {
    guard let window, cache.isWindow else { return 0..<KVLayout.pages(tokens) }
    return WindowPlaces.seen(
      behind: tokens, window: window.tokens, isAligned: window.isAligned,
      pageTokens: KVLayout.pageTokens)
  }
}

extension EngineLoop {
  /// Copies what the cache holds of a text to the host. It stays in the cache. What other texts have taken the place
  /// of is computed anew.
  package func save(_ tokens: [Int32]) throws(EngineError) -> SavedCache {
    var table = PageTable(pageTokens: pool.pageTokens)
    var count = table.adopt(tokens[...], from: &pool)
    if count < tokens.count {
      table.leave(tokens.prefix(count), to: &pool)
      try compute(tokens)
      table = PageTable(pageTokens: pool.pageTokens)
      count = table.adopt(tokens[...], from: &pool)
    }
    defer { table.leave(tokens.prefix(count), to: &pool) }
    var bytes = [UInt8](repeating: 0, count: plan.cachedBytes(tokens: count) ?? 0)
    var failure: DeviceError?
    bytes.withUnsafeMutableBytes { bytes in
      do throws(DeviceError) {
        try forEachPart(of: table, count) { device, region, range throws(DeviceError) in
          try executor.devices[device].read(
            region, into: UnsafeMutableRawBufferPointer(rebasing: bytes[range]))
        }
      } catch { failure = error }
    }
    if let failure { throw .device(failure) }
    return SavedCache(tokens: Array(tokens.prefix(count)), pages: bytes)
  }

  /// Computes what the cache lacks of a text, and leaves it there.
  private func compute(_ tokens: [Int32]) throws(EngineError) {
    var sequence = begin(tokens, shares: true)
    var isSound = false
    defer { end(&sequence, shares: true, isSound: isSound) }
    try advance(&sequence, publishes: true, isCancelled: { false }) {
      _, _ throws(EngineError) in
    }
    isSound = true
  }

  /// Puts what was saved into the cache, where requests that begin alike find it.
  ///
  /// - Parameter saved: Of a plan with the same caches; its bytes are as many as its tokens ask for.
  /// - Throws: ``EngineError`` where it does not fit into the context.
  package func restore(_ saved: SavedCache) throws(EngineError) {
    try check(saved.tokens, prompt: 0)
    var table = PageTable(pageTokens: pool.pageTokens)
    let count = saved.tokens.count
    guard table.reserve(count, from: &pool) else {
      throw .promptTooLong(tokens: count, context: contextLength)
    }
    table.need(count..<count, pool: &pool)
    precondition(saved.pages.count == plan.cachedBytes(tokens: count))
    var failure: DeviceError?
    saved.pages.withUnsafeBytes { bytes in
      do throws(DeviceError) {
        try forEachPart(of: table, count) { device, region, range throws(DeviceError) in
          try executor.devices[device].write(
            UnsafeRawBufferPointer(rebasing: bytes[range]), to: region)
        }
      } catch { failure = error }
    }
    if let failure {
      table.release(to: &pool)
      throw .device(failure)
    }
    latest = saved.tokens
    table.leave(saved.tokens[...], to: &pool)
  }

  /// Where each part of a sequence's pages lies on its device, and in the bytes of a saved cache: a page of keys and
  /// values has a part for each kv head, whose pages lie side by side.
  private func forEachPart(
    of table: PageTable, _ tokens: Int,
    _ body: (Int, Region, Range<Int>) throws(DeviceError) -> Void
  ) throws(DeviceError) {
    var begin = 0
    for cache in plan.caches {
      let operand = cache.operand
      var parts = 1
      if case .pages(let layout) = operand.format { parts = layout.headCount }
      let bytes = operand.format.rowBytes(operand.width) / parts
      for page in table.pages[plan.cachedPages(tokens, of: cache)] {
        guard let place = cache.isWindow ? pool.window?.place(of: page) : page else {
          preconditionFailure("what a sequence goes on behind has places")
        }
        for part in 0..<parts {
          var region = operand.region
          region.offset += (part * plan.bounds[operand.rows] + Int(place)) * bytes
          try body(cache.device, region, begin..<begin + bytes)
          begin += bytes
        }
      }
    }
  }
}
