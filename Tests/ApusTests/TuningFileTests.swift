import Apus
import OpenCLBackend
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Tuned files: what is written is read, and what is damaged is a sentence.
@Suite struct TuningFileTests {
  private let scratch = TemporaryFolder()
  private let subject = TuningStore.Subject(
    hardware: "pthread-znver9-A Processor", driver: "Portable Computing Language 9.9",
    identity: ["pthread-znver9-A Processor", "9.9", "extensions"])

  private var choice: Tuning.Choice {
    Tuning.Choice(
      operation: "linear Q4_0 × int8", rows: .many, variant: "vnni 32×4",
      settings: [Tuning.Setting("TILES", 1), Tuning.Setting("TOKENS", 8)])
  }

  private func file(_ choices: [Tuning.Choice]) throws -> TuningFile {
    let entries = try choices.map { choice in
      let row = try #require(KernelTable.row(of: choice))
      return TuningFile.Entry(
        choice, isStandard: choice.settings.isEmpty, fingerprint: KernelTable.fingerprint(row),
        gain: choice.settings.isEmpty ? 1 : 1.25)
    }
    return TuningFile(
      hardware: subject.hardware, driver: subject.driver, made: "2026-11-25 by hand",
      entries: entries)
  }

  private var store: TuningStore {
    TuningStore(folder: "\(scratch.path)/tuned", shipped: [])
  }

  @Test func whatIsWrittenIsRead() throws {
    var standard = choice
    (standard.rows, standard.variant, standard.settings) = (.one, "vnni 16×1", [])
    let file = try file([choice, standard])
    #expect(try TuningFile(file.text) == file)
    #expect(file.text.contains("vnni 16×1 | as built | "))
    let path = try store.write(file, for: subject)
    let found = store.find(subject)
    #expect(found.file == file && found.source == path && found.isUsers)
    #expect(found.tuning == Tuning([choice]) && found.outdated == 0 && found.complaint == nil)
    #expect(scratch.files("tuned").count == 1)
    #expect(try store.forget(subject) == 1)
    #expect(store.find(subject).file == nil && scratch.files("tuned").isEmpty)
    #expect(try store.forget(nil) == 0)
  }

  /// Another version of the driver, or another device, has no part in it.
  @Test func othersDoNotUseIt() throws {
    _ = try store.write(file([choice]), for: subject)
    var newer = subject
    newer.driver = "Portable Computing Language 10.0"
    newer.identity[1] = "10.0"
    var other = subject
    other.hardware = "another"
    for device in [newer, other] {
      #expect(store.find(device).tuning.choices.isEmpty && store.find(device).complaint == nil)
      #expect(try store.forget(device) == 0)
    }
  }

  /// A kernel that was edited since is another kernel.
  @Test func outdatedLinesCountForNothing() throws {
    var file = try file([choice])
    file.entries[0].fingerprint = "00000000"
    _ = try store.write(file, for: subject)
    let found = store.find(subject)
    #expect(found.tuning.choices.isEmpty && found.outdated == 1 && found.complaint == nil)
  }

  @Test(arguments: [
    ("", "does not begin with"), ("\u{0}\u{1}binary", "does not begin with"),
    ("apus tuning 2\n", "does not begin with"),
    ("apus tuning 1\n", "which hardware and driver"),
    ("apus tuning 1\nhardware x\ndriver y\nlinear Q4_0", "line 4"),
    ("apus tuning 1\nhardware x\ndriver y\na | many | b | TOKENS=8 | 0 | fast", "not understood"),
    ("apus tuning 1\nhardware x\ndriver y\na | few | b | TOKENS=8 | 0 | 1", "not understood"),
    ("apus tuning 1\nhardware x\ndriver y\na | one | b | TOKENS=8=9 | 0 | 1", "not understood"),
    (
      "apus tuning 1\nhardware x\ndriver y\na | one | b | T=99999999999999999999 | 0 | 1",
      "not understood"
    ),
    (
      "apus tuning 1\nhardware x\ndriver y\na | one | b | - | 0 | 1\na | one | c | - | 0 | 1",
      "twice"
    ),
  ])
  func damageIsASentence(_ text: String, _ part: String) throws {
    let path = try #require(store.path(subject))
    _ = try store.write(file([choice]), for: subject)
    try scratch.write("tuned/" + (path.split(separator: "/").last.map(String.init) ?? ""), text)
    let found = store.find(subject)
    let complaint = try #require(found.complaint)
    #expect(found.tuning.choices.isEmpty && found.file == nil)
    #expect(complaint.contains(path) && complaint.contains(part), "\(complaint)")
    #expect(complaint.contains("apus tune"))
  }

  /// A value that no kernel is built with was not written by a tuner.
  @Test func unknownValuesAreDamage() throws {
    var file = try file([choice])
    file.entries[0].choice.settings = [Tuning.Setting("TOKENS", 5000)]
    _ = try store.write(file, for: subject)
    let found = store.find(subject)
    #expect(found.tuning.choices.isEmpty)
    #expect(try #require(found.complaint).contains("cannot have TOKENS=5000"))
    // A row that this build does not have may be one of another build.
    file.entries[0].choice = choice
    file.entries[0].choice.variant = "avx 1024×1024"
    _ = try store.write(file, for: subject)
    #expect(store.find(subject).complaint == nil && store.find(subject).outdated == 1)
  }

  @Test func ownFilesComeBeforeThoseThatAreShipped() throws {
    var shipped = try file([choice])
    (shipped.hardware, shipped.driver) = ("pthread-znver9", "Portable Computing Language")
    let store = TuningStore(
      folder: "\(scratch.path)/tuned",
      shipped: [("damaged", "no file"), ("pocl", shipped.text), ("later", shipped.text)])
    let first = store.find(subject)
    #expect(first.source == "pocl" && !first.isUsers && first.tuning == Tuning([choice]))
    var other = subject
    other.hardware = "pthread-znver8"
    #expect(store.find(other).source == nil)
    var own = choice
    own.settings = [Tuning.Setting("TOKENS", 2)]
    _ = try store.write(file([own]), for: subject)
    #expect(store.find(subject).isUsers && store.find(subject).tuning == Tuning([own]))
  }

  /// What comes with Apus can be read, and every line that is about a kernel as it is now names one.
  @Test func shippedFilesAreSound() throws {
    for (name, text) in OpenCLDevices.shippedTunings {
      let file = try TuningFile(text)
      _ = try file.tuning()
      #expect(!file.made.isEmpty, "\(name)")
    }
  }

  @Test func foldersOfOthersAreNotRead() throws {
    _ = try store.write(file([choice]), for: subject)
    #expect(chmodTuned(0o777) == 0)
    let found = store.find(subject)
    #expect(found.tuning.choices.isEmpty)
    #expect(try #require(found.complaint).contains("chmod 700"))
    #expect(throws: ApusError.self) { try store.write(try file([choice]), for: subject) }
    #expect(chmodTuned(0o700) == 0)
    #expect(throws: ApusError.self) {
      try TuningStore(folder: nil, shipped: []).write(try file([choice]), for: subject)
    }
  }

  private func chmodTuned(_ mode: mode_t) -> Int32 { chmod("\(scratch.path)/tuned", mode) }
}
