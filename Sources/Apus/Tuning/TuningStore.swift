import Devices
import DiskCache
package import OpenCLBackend

/// Where tunings are found: the user's own first, then those that come with Apus.
package struct TuningStore: Sendable {
  /// The folder of the user's files, or nil without a home.
  let folder: String?
  private let shipped: [(name: String, text: String)]

  /// That of this user.
  static var ofUser: TuningStore {
    TuningStore(folder: UserFolders().configuration.map { "\($0)/tuned" })
  }

  package init(
    folder: String?, shipped: [(name: String, text: String)] = OpenCLDevices.shippedTunings
  ) {
    self.folder = folder
    self.shipped = shipped
  }

  /// A device, as far as files are kept for it.
  package struct Subject {
    package var hardware: String
    package var driver: String
    /// All that tells it from others.
    package var identity: [String]

    package init(hardware: String, driver: String, identity: [String]) {
      self.hardware = hardware
      self.driver = driver
      self.identity = identity
    }

    package init(_ device: OpenCLDevice) {
      self.init(
        hardware: device.traits.hardware, driver: device.traits.driver, identity: device.identity)
    }
  }

  /// What there is for a device.
  package struct Found: Sendable {
    package var tuning = Tuning()
    /// The file, as it is.
    package var file: TuningFile?
    /// Its path, or its name among those that come with Apus.
    package var source: String?
    package var isUsers = false
    /// Lines about kernels that are others by now.
    package var outdated = 0
    /// A sentence about a file that cannot be used.
    package var complaint: String?
  }

  /// The tuning of a device; one without choices where nothing is known.
  package func find(_ subject: Subject) -> Found {
    var found = Found()
    let text: String?
    do throws(CacheFolder.Refusal) { text = try read(subject) } catch {
      found.complaint = "tunings are not read: \(error.reason)"
      return found
    }
    if let path = path(subject), let text {
      do throws(TuningFile.Damage) {
        let file = try TuningFile(text)
        if file.hardware == subject.hardware, file.driver == subject.driver {
          (found.tuning, found.outdated) = try file.tuning()
          (found.file, found.source, found.isUsers) = (file, path, true)
          return found
        }
      } catch {
        found.complaint =
          "\(path)\(error.line > 0 ? ", line \(error.line)" : ""): \(error.reason); the device is "
          + "used as it is without this file. 'apus tune' makes it anew, 'apus tune --forget' removes it"
        return found
      }
    }
    for (name, text) in shipped {
      guard let file = try? TuningFile(text),
        file.isFor(hardware: subject.hardware, driver: subject.driver),
        let known = try? file.tuning()
      else { continue }
      (found.tuning, found.outdated) = known
      (found.file, found.source) = (file, name)
      return found
    }
    return found
  }

  /// Where a device's file lies.
  package func path(_ subject: Subject) -> String? {
    folder.map { "\($0)/\(Self.fileName(subject))" }
  }

  static let ending = ".txt"

  private static func fileName(_ subject: Subject) -> String {
    let words = subject.hardware.lowercased().map { character in
      character.isASCII && (character.isLetter || character.isNumber) ? character : "-"
    }
    // Another version of the driver has another file.
    let digest = CacheKey(subject.identity + [subject.hardware, subject.driver]).fileName
    return "\(String(words.prefix(40)))-\(digest.prefix(8))\(ending)"
  }

  private func read(_ subject: Subject) throws(CacheFolder.Refusal) -> String? {
    guard let folder, CacheFolder.exists(folder) else { return nil }
    let opened = try CacheFolder(folder)
    return opened.read(Self.fileName(subject), upTo: TuningFile.longest + 1).map {
      String(decoding: $0, as: UTF8.self)
    }
  }

  /// Keeps a file in the place of the one there.
  ///
  /// - Returns: Its path.
  package func write(_ file: TuningFile, for subject: Subject) throws(ApusError) -> String {
    guard let folder, let path = path(subject) else {
      throw ApusError(
        .file,
        "there is no folder to keep a tuning in: set HOME or XDG_CONFIG_HOME, or try --dry-run")
    }
    do throws(CacheFolder.Refusal) {
      let opened = try CacheFolder(folder)
      if let complaint = opened.replace(Self.fileName(subject), with: Array(file.text.utf8)) {
        throw CacheFolder.Refusal(reason: complaint)
      }
    } catch { throw ApusError(.file, error.reason) }
    return path
  }

  /// Removes the user's file of a device, or all of them.
  ///
  /// - Returns: How many there were.
  package func forget(_ subject: Subject?) throws(ApusError) -> Int {
    guard let folder, CacheFolder.exists(folder) else { return 0 }
    do throws(CacheFolder.Refusal) {
      let opened = try CacheFolder(folder)
      var names = opened.items(ending: Self.ending).map(\.name)
      if let subject { names = names.filter { $0 == Self.fileName(subject) } }
      for name in names where !opened.remove(name) {
        throw CacheFolder.Refusal(reason: "\(folder)/\(name) cannot be removed")
      }
      return names.count
    } catch { throw ApusError(.file, error.reason) }
  }
}
