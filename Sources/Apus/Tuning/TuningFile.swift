package import OpenCLBackend

/// What a tuner found on a device, as a text that people can read.
///
/// ```
/// apus tuning 1
/// hardware pthread-znver5-AMD EPYC
/// driver Portable Computing Language 3.1
/// made 2026-11-25 by apus tune --budget 120s
/// # operation | rows | variant | settings | kernel | gain
/// linear Q6_K × int8 | many | vnni 32×4 | TOKENS=6 | 5a3f09c1 | 1.08
/// linear Q4_0 × int8 | one | vnni 16×1 | as built | 77e01c2b | 1.00
/// ```
///
/// Hardware and driver are beginnings of the device's own; a file that was made on it has them whole.
/// `as built` says that nothing else was found to be faster. Lines that begin with `#` mean nothing.
package struct TuningFile: Sendable, Hashable {
  package var hardware: String
  package var driver: String
  /// When and by what, for people.
  package var made: String
  package var entries: [Entry]

  /// A line.
  package struct Entry: Sendable, Hashable {
    package var choice: Tuning.Choice
    /// Whether it is what a device without a tuning takes.
    package var isStandard: Bool
    /// Of the program that was measured: another one may be fastest in another way.
    package var fingerprint: String
    package var gain: Double

    package init(
      _ choice: Tuning.Choice, isStandard: Bool, fingerprint: String, gain: Double
    ) {
      self.choice = choice
      self.isStandard = isStandard
      self.fingerprint = fingerprint
      self.gain = gain
    }
  }

  /// Why a text is no such file.
  package struct Damage: Error, Sendable, Hashable {
    /// Counted from 1; 0 for the whole.
    package var line: Int
    package var reason: String
  }

  /// No file of ours is longer.
  package static let longest = 1 << 18
  private static let title = "apus tuning 1"

  package init(hardware: String, driver: String, made: String, entries: [Entry]) {
    self.hardware = Self.inOneLine(hardware)
    self.driver = Self.inOneLine(driver)
    self.made = Self.inOneLine(made)
    self.entries = entries
  }

  private static func inOneLine(_ text: String) -> String {
    String(text.map { $0.isNewline ? " " : $0 })
  }

  /// The text of the file.
  package var text: String {
    var lines = [
      Self.title, "hardware \(hardware)", "driver \(driver)", "made \(made)",
      "# operation | rows | variant | settings | kernel | gain",
    ]
    for entry in entries {
      let choice = entry.choice
      let settings =
        choice.settings.isEmpty ? "-" : choice.settings.map(\.description).joined(separator: " ")
      lines.append(
        [
          choice.operation, choice.rows.rawValue, choice.variant,
          entry.isStandard ? "as built" : settings, entry.fingerprint, Self.hundredths(entry.gain),
        ].joined(separator: " | "))
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func hundredths(_ gain: Double) -> String {
    let number = Int(min(gain, 1e6) * 100 + 0.5)
    let rest = number % 100
    return "\(number / 100).\(rest < 10 ? "0" : "")\(rest)"
  }

  /// Reads a file.
  package init(_ text: String) throws(Damage) {
    guard text.utf8.count <= Self.longest else {
      throw Damage(line: 0, reason: "it is longer than \(Self.longest) bytes")
    }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.first.map({ $0 == Self.title }) == true else {
      throw Damage(line: 1, reason: "it does not begin with '\(Self.title)'")
    }
    var head: [Substring: String] = [:]
    entries = []
    var seen: Set<String> = []
    for (index, line) in lines.enumerated().dropFirst() {
      if line.isEmpty || line.hasPrefix("#") { continue }
      let words = line.split(separator: " ", maxSplits: 1)
      if words.count == 2, ["hardware", "driver", "made"].contains(words[0]) {
        head[words[0]] = String(words[1])
        continue
      }
      guard let entry = Entry(line) else {
        throw Damage(line: index + 1, reason: "'\(line.prefix(60))' is not understood")
      }
      guard seen.insert("\(entry.choice.operation) \(entry.choice.rows)").inserted else {
        throw Damage(line: index + 1, reason: "'\(entry.choice.operation)' is there twice")
      }
      entries.append(entry)
    }
    guard let hardware = head["hardware"], let driver = head["driver"] else {
      throw Damage(line: 0, reason: "it does not say which hardware and driver it is for")
    }
    self.hardware = hardware
    self.driver = driver
    made = head["made"] ?? ""
  }

  /// Whether it is for a device.
  package func isFor(hardware: String, driver: String) -> Bool {
    Self.inOneLine(hardware).hasPrefix(self.hardware)
      && Self.inOneLine(driver).hasPrefix(self.driver)
  }

  /// What a device may take of it. Lines about kernels that are others by now are left out.
  package func tuning() throws(Damage) -> (tuning: Tuning, outdated: Int) {
    var tuning = Tuning()
    var outdated = 0
    for entry in entries {
      var bare = entry.choice
      bare.settings = []
      guard let row = KernelTable.row(of: bare),
        KernelTable.fingerprint(row) == entry.fingerprint
      else {
        outdated += 1
        continue
      }
      if entry.isStandard { continue }
      guard KernelTable.row(of: entry.choice) != nil else {
        let settings = entry.choice.settings.map(\.description).joined(separator: " ")
        throw Damage(
          line: 0,
          reason: "'\(entry.choice.operation)' of \(entry.choice.variant) cannot have \(settings)")
      }
      tuning.choices.append(entry.choice)
    }
    return (tuning, outdated)
  }
}

extension TuningFile.Entry {
  fileprivate init?(_ line: Substring) {
    let parts = line.split(separator: "|", omittingEmptySubsequences: false).map { part in
      var part = part
      while part.first == " " { part.removeFirst() }
      while part.last == " " { part.removeLast() }
      return String(part)
    }
    guard parts.count == 6, let rows = Tuning.Rows(rawValue: parts[1]),
      !parts[0].isEmpty, !parts[2].isEmpty, let gain = Double(parts[5]), gain >= 0, gain < 1e6
    else { return nil }
    choice = Tuning.Choice(operation: parts[0], rows: rows, variant: parts[2])
    isStandard = parts[3] == "as built"
    fingerprint = parts[4]
    self.gain = gain
    if isStandard || parts[3] == "-" { return }
    for word in parts[3].split(separator: " ") {
      let sides = word.split(separator: "=", omittingEmptySubsequences: false)
      guard sides.count == 2, !sides[0].isEmpty, let value = Int(sides[1]) else { return nil }
      choice.settings.append(Tuning.Setting(String(sides[0]), value))
    }
    if choice.settings.isEmpty { return nil }
  }
}
