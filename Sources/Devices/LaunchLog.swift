package import ModelGraph

/// Launches as a device notes them while it works: each is a place in the list of instructions that it
/// was given, and times. A record is put together when somebody looks at it, so that noting one costs
/// little more than the clock.
package struct LaunchLog: Sendable, RandomAccessCollection {
  /// A launch.
  package struct Entry: Sendable {
    fileprivate var variant: String
    package var times: LaunchRecord.Times
    // Narrow, since there are hundreds of launches in a step, and memory is slow when it is new.
    fileprivate var list: Int32
    fileprivate var index: Int32
    fileprivate var place: Int32
    /// Whether the host waited for it, since the device keeps no times.
    package var isWaitedFor = false
    /// Whether it finishes what the launch before it began.
    fileprivate var isSequel: Bool
  }

  private var lists: [(instructions: [Instruction], sizes: SymbolSizes)] = []
  package var entries: [Entry] = []

  package init() {}

  /// Launches from now on are of these instructions.
  package mutating func begin(_ instructions: [Instruction], _ sizes: SymbolSizes) {
    lists.append((instructions, sizes))
  }

  /// Notes a launch of an instruction of the list, or of a part of one: `place` is 0 for the whole, and
  /// ``place(of:in:)`` else.
  package mutating func note(
    _ index: Int, place: Int, variant: String, _ times: LaunchRecord.Times, isSequel: Bool = false
  ) {
    entries.append(
      Entry(
        variant: variant, times: times, list: Int32(truncatingIfNeeded: lists.count - 1),
        index: Int32(truncatingIfNeeded: index), place: Int32(truncatingIfNeeded: place),
        isSequel: isSequel))
  }

  /// The place of a part in an instruction's expansion, for an instruction at `place` itself.
  package static func place(of part: Int, in place: Int) -> Int { place * 16 + part + 1 }

  /// Hands the launches over and forgets them.
  package mutating func take() -> LaunchLog {
    defer { self = LaunchLog() }
    return self
  }

  package var startIndex: Int { 0 }
  package var endIndex: Int { entries.count }

  package subscript(_ position: Int) -> LaunchRecord {
    let entry = entries[position]
    let (instructions, sizes) = lists[Int(entry.list)]
    var record = LaunchRecord(
      instructions[Int(entry.index)].part(at: Int(entry.place)), sizes: sizes,
      variant: entry.variant, times: entry.times)
    record.isWaitedFor = entry.isWaitedFor
    record.isSequel = entry.isSequel
    return record
  }
}

extension Instruction {
  /// The part of a place; 0 is the whole.
  fileprivate func part(at place: Int) -> Instruction {
    place == 0 ? self : part(at: place / 16).expansion[place % 16 - 1]
  }
}
