/// Watches streamed text for the user's stop strings. Text that may be the beginning of one is held
/// back, so that no part of a stop string is ever shown.
package struct StopMatcher: Sendable {
  package struct Result: Equatable, Sendable {
    /// What may be shown now.
    package var text: String
    /// The stop string that was found; the stream ends there.
    package var stop: String?

    package init(text: String, stop: String?) {
      self.text = text
      self.stop = stop
    }
  }

  private let stops: [[UInt8]]
  private let longest: Int
  private var held: [UInt8] = []
  private var isStopped = false

  /// Empty stop strings are ignored: they would stop every answer before it began.
  package init(_ stops: [String]) {
    self.stops = stops.map { Array($0.utf8) }.filter { !$0.isEmpty }
    longest = self.stops.map(\.count).max() ?? 0
  }

  /// Takes the next piece of text. After a stop nothing is shown any more.
  package mutating func append(_ text: String) -> Result {
    guard !isStopped else { return Result(text: "", stop: nil) }
    held.append(contentsOf: text.utf8)
    if let (start, stop) = firstStop() {
      isStopped = true
      defer { held.removeAll() }
      return Result(
        text: String(decoding: held[..<start], as: UTF8.self),
        stop: String(decoding: stop, as: UTF8.self))
    }
    let shown = held.count - possibleStart()
    defer { held.removeFirst(shown) }
    return Result(text: String(decoding: held[..<shown], as: UTF8.self), stop: nil)
  }

  /// The text still held back when the stream ends.
  package mutating func finish() -> String {
    defer { held.removeAll() }
    return String(decoding: held, as: UTF8.self)
  }

  /// The stop string that begins first; of several there, the longest.
  private func firstStop() -> (start: Int, stop: [UInt8])? {
    for start in held.indices {
      let found = stops.filter { held[start...].starts(with: $0) }.max { $0.count < $1.count }
      if let found { return (start, found) }
    }
    return nil
  }

  /// The length of the longest end of the text that begins a stop string. Stop strings are whole
  /// characters, so the cut never falls inside of one.
  private func possibleStart() -> Int {
    var length = min(held.count, longest - 1)
    while length > 0 {
      let suffix = held[(held.count - length)...]
      if stops.contains(where: { $0.count > length && $0.starts(with: suffix) }) { return length }
      length -= 1
    }
    return 0
  }
}
