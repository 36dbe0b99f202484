import Devices
import Planning
import Residency

/// Keys and values of a text, as they lie in the caches of a plan.
package struct SavedCache: Sendable, Hashable {
  package var tokens: [Int32]
  /// Page by page, and of each page what one cache after the other holds of it.
  package var pages: [UInt8]

  package init(tokens: [Int32], pages: [UInt8]) {
    self.tokens = tokens
    self.pages = pages
  }
}

extension ExecutionPlan {
  /// Bytes of a page in all caches.
  package var cachedPageBytes: Int {
    caches.reduce(0) { $0 + $1.operand.format.rowBytes($1.operand.width) }
  }
}

extension EngineLoop {
  /// Copies what the cache holds of a text to the host. It stays in the cache.
  ///
  /// - Returns: As many of its first tokens as are there.
  package func save(_ tokens: [Int32]) throws(EngineError) -> SavedCache {
    var table = PageTable(pageTokens: pool.pageTokens)
    let count = table.adopt(tokens[...], from: &pool)
    defer { table.leave(tokens.prefix(count), to: &pool) }
    var bytes = [UInt8](repeating: 0, count: table.pages.count * plan.cachedPageBytes)
    var failure: DeviceError?
    bytes.withUnsafeMutableBytes { bytes in
      do throws(DeviceError) {
        try forEachPart(of: table.pages) { device, region, range throws(DeviceError) in
          try executor.devices[device].read(
            region, into: UnsafeMutableRawBufferPointer(rebasing: bytes[range]))
        }
      } catch { failure = error }
    }
    if let failure { throw .device(failure) }
    return SavedCache(tokens: Array(tokens.prefix(count)), pages: bytes)
  }

  /// Puts what was saved into the cache, where requests that begin alike find it.
  ///
  /// - Parameter saved: Of a plan with the same caches; its bytes are as many as its tokens ask for.
  /// - Throws: ``EngineError`` where it does not fit into the context.
  package func restore(_ saved: SavedCache) throws(EngineError) {
    try check(saved.tokens)
    var table = PageTable(pageTokens: pool.pageTokens)
    guard table.reserve(saved.tokens.count, from: &pool) else {
      throw .promptTooLong(tokens: saved.tokens.count, context: contextLength)
    }
    precondition(saved.pages.count == table.pages.count * plan.cachedPageBytes)
    var failure: DeviceError?
    saved.pages.withUnsafeBytes { bytes in
      do throws(DeviceError) {
        try forEachPart(of: table.pages) { device, region, range throws(DeviceError) in
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

  /// Where each part of the pages lies on its device, and in the bytes of a saved cache: a page of keys and values
  /// has a part for each kv head, whose pages lie side by side.
  private func forEachPart(
    of pages: [Int32], _ body: (Int, Region, Range<Int>) throws(DeviceError) -> Void
  ) throws(DeviceError) {
    var begin = 0
    for page in pages {
      for cache in plan.caches {
        let operand = cache.operand
        var parts = 1
        if case .pages(let layout) = operand.format { parts = layout.headCount }
        let bytes = operand.format.rowBytes(operand.width) / parts
        for part in 0..<parts {
          var region = operand.region
          region.offset += (part * pool.pageCount + Int(page)) * bytes
          try body(cache.device, region, begin..<begin + bytes)
          begin += bytes
        }
      }
    }
  }
}
