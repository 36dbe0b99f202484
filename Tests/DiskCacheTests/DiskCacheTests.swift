import TestSupport
import Testing

import DiskCache

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

extension TemporaryFolder {
  fileprivate func cache(limit: Int = DiskCache.usualLimit) throws -> DiskCache {
    try DiskCache.open("\(path)/programs", limit: limit).get()
  }

  fileprivate func files() -> [String] { files("programs") }

  /// The path of the only entry.
  fileprivate func entry() throws -> String {
    let names = files()
    try #require(names.count == 1)
    return "\(path)/programs/\(names[0])"
  }
}

private func mode(_ path: String) -> mode_t {
  var status = stat()
  return lstat(path, &status) == 0 ? status.st_mode & 0o777 : 0
}

@Suite(.serialized) struct DiskCacheTests {
  let scratch = TemporaryFolder()
  let key = CacheKey(["a program"])
  let content = Array("what a driver made of it".utf8)

  @Test func whatIsStoredIsFound() throws {
    do {
      let cache = try scratch.cache()
      #expect(cache.load(key) == nil)
      cache.store(content, under: key, label: "gemm\na device\nits driver")
      cache.store([], under: CacheKey(["nothing"]), label: "")
      #expect(cache.complaint == nil)
    }
    let cache = try scratch.cache()
    #expect(cache.load(key) == content)
    #expect(cache.load(CacheKey(["nothing"])) == [])
    #expect(cache.load(CacheKey(["another"])) == nil)
    let items = cache.items()
    #expect(items.count == 2)
    let item = try #require(items.first { $0.label?.count == 3 })
    #expect(item.label == ["gemm", "a device", "its driver"])
    #expect(item.bytes == 88 + 24 + content.count)
    #expect((0...5).contains(item.age))
    #expect(mode(cache.path) == 0o700)
    for name in scratch.files() { #expect(mode("\(cache.path)/\(name)") == 0o600) }
    #expect(cache.clear() == 0 && scratch.files().isEmpty)
  }

  @Test func partsOfAKeyStayApart() {
    #expect(CacheKey(["ab", "c"]) != CacheKey(["a", "bc"]))
    #expect(CacheKey(["ab", ""]) != CacheKey(["ab"]))
    #expect(CacheKey(["ab", "c"]) == CacheKey(["ab", "c"]))
  }

  /// Every byte that is changed, and every length that is not the written one.
  @Test func damageIsFoundAndRemoved() throws {
    let cache = try scratch.cache()
    cache.store(content, under: key, label: "label")
    let path = try scratch.entry()
    let sound = try Fixtures.bytes(path)
    var damaged = (0..<sound.count).map { Array(sound[..<$0]) } + [sound + [0]]
    for index in sound.indices {
      var bytes = sound
      bytes[index] ^= 0x10
      damaged.append(bytes)
    }
    for (number, bytes) in damaged.enumerated() {
      try Fixtures.write(bytes, to: path)
      #expect(cache.load(key) == nil, "damage \(number)")
      #expect(scratch.files().isEmpty, "damage \(number)")
    }
    try Fixtures.write(sound, to: path)
    #expect(cache.load(key) == content)
    // Sound, but of another program.
    let other = CacheKey(["another program"])
    rename(path, "\(cache.path)/\(other.fileName)")
    #expect(cache.load(other) == nil && scratch.files().isEmpty)
  }

  @Test func plantedFilesAreNoEntries() throws {
    let cache = try scratch.cache()
    cache.store(content, under: key, label: "label")
    let path = try scratch.entry()
    // A link to a sound entry.
    let real = "\(scratch.path)/real"
    rename(path, real)
    symlink(real, path)
    #expect(cache.load(key) == nil)
    // Writing replaces the link and not what it points to.
    cache.store([1], under: key, label: "")
    #expect(cache.load(key) == [1])
    #expect(try Fixtures.bytes(real).count > 100)
    unlink(real)
    // A pipe that nobody writes into must not make anybody wait.
    unlink(path)
    mkfifo(path, 0o600)
    #expect(cache.load(key) == nil)
    cache.store(content, under: key, label: "")
    #expect(cache.load(key) == content)
    // A folder cannot be replaced, which is no error either.
    unlink(path)
    mkdir(path, 0o700)
    #expect(cache.load(key) == nil)
    cache.store(content, under: key, label: "")
    #expect(cache.complaint?.contains("cannot be written") == true)
    #expect(cache.items().isEmpty)
    #expect(scratch.files() == [key.fileName], "no draft is left")
  }

  @Test func foldersThatOthersReachAreNotUsed() throws {
    let path = "\(scratch.path)/programs"
    func refusal() -> String? {
      if case .failure(let unusable) = DiskCache.open(path) { unusable.reason } else { nil }
    }
    for mode: mode_t in [0o770, 0o707, 0o755, 0o1777] {
      mkdir(path, 0o700)
      chmod(path, mode)
      #expect(refusal()?.contains("chmod 700") == true)
      rmdir(path)
    }
    symlink("/tmp", path)
    #expect(refusal()?.contains("symbolic link") == true)
    unlink(path)
    try Fixtures.write([1, 2, 3], to: path)
    #expect(refusal()?.contains("cannot be opened") == true)
    #expect(try Fixtures.bytes(path) == [1, 2, 3])
    unlink(path)
    if geteuid() == 0 {
      mkdir(path, 0o700)
      chown(path, 65534, 65534)
      #expect(refusal()?.contains("another user") == true)
      chown(path, 0, 0)
      rmdir(path)
    }
    #expect(refusal() == nil && mode(path) == 0o700)
  }

  @Test func missingFoldersAreMadeAndImpossibleOnesSaid() throws {
    let deep = "\(scratch.path)/programs/deep"
    let cache = try DiskCache.open(deep).get()
    cache.store(content, under: key, label: "")
    #expect(cache.load(key) == content)
    #expect(cache.clear() == 0)
    // The folder vanishes while it is in use.
    rmdir(deep)
    cache.store(content, under: key, label: "")
    #expect(cache.complaint?.contains("cannot be written") == true)
    #expect(cache.load(key) == nil && cache.items().isEmpty && cache.clear() == 0)
    guard case .failure(let unusable) = DiskCache.open("/proc/apus/programs") else {
      Issue.record("no folder can be made there")
      return
    }
    #expect(unusable.reason.contains("/proc/apus/programs cannot be opened"))
  }

  /// A disk without room, which a limit on the size of files stands for.
  @Test func aFullDiskLeavesNothing() throws {
    let cache = try scratch.cache()
    let handler = signal(SIGXFSZ, SIG_IGN)
    var before = rlimit()
    #if canImport(Glibc)
      let resource = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
    #else
      let resource = RLIMIT_FSIZE
    #endif
    getrlimit(resource, &before)
    var tight = before
    tight.rlim_cur = 100
    setrlimit(resource, &tight)
    cache.store(content, under: key, label: "")
    setrlimit(resource, &before)
    signal(SIGXFSZ, handler)
    #expect(cache.complaint?.contains("cannot be written") == true)
    #expect(scratch.files().isEmpty && cache.load(key) == nil)
    cache.store(content, under: key, label: "")
    #expect(cache.complaint == nil && cache.load(key) == content)
  }

  @Test func theOldestGoFirst() throws {
    let cache = try scratch.cache(limit: 10_000)
    let keys = (0..<40).map { CacheKey(["program \($0)"]) }
    let large = [UInt8](repeating: 7, count: 900)
    for (index, key) in keys.enumerated() {
      cache.store(large, under: key, label: "")
      var times = [timespec(), timespec()]
      for place in times.indices { times[place].tv_sec = 1_000_000 + index }
      utimensat(AT_FDCWD, "\(cache.path)/\(key.fileName)", times, 0)
      // The first is used again and again.
      #expect(cache.load(keys[0]) == large)
    }
    let bytes = cache.items().reduce(0) { $0 + $1.bytes }
    #expect(bytes <= 10_000 && bytes > 5_000)
    #expect(cache.load(keys[0]) == large && cache.load(keys[39]) == large)
    #expect(cache.load(keys[1]) == nil)
    // What would push everything else out is not kept.
    cache.store([UInt8](repeating: 7, count: 9_000), under: key, label: "")
    #expect(cache.load(key) == nil)
  }

  @Test func draftsOfTheDeadGoAndForeignFilesStay() throws {
    let cache = try scratch.cache(limit: 4_000)
    let (dead, alive) = ("\(cache.path)/.1.part", "\(cache.path)/.2.part")
    let foreign = "\(cache.path)/notes.txt"
    for path in [dead, alive, foreign] { try Fixtures.write([1], to: path) }
    utimensat(AT_FDCWD, dead, [timespec(), timespec()], 0)
    cache.store(content, under: key, label: "")
    #expect(scratch.files() == [".2.part", key.fileName, "notes.txt"].sorted())
    #expect(cache.clear() == 0)
    #expect(scratch.files() == ["notes.txt"])
  }

  @Test func whatIsOldIsForgottenWhereThatIsAsked() throws {
    let cache = try scratch.cache()
    cache.store(content, under: key, label: "")
    #expect(cache.load(key, within: 3600) == content)
    utimensat(AT_FDCWD, try scratch.entry(), [timespec(), timespec()], 0)
    #expect(cache.load(key, within: 3600) == nil)
    #expect(scratch.files().isEmpty)
  }

  /// Writers and readers that know nothing of one another, as processes do.
  @Test func manyAtOnceSeeWholeEntriesOnly() async throws {
    let path = "\(scratch.path)/programs"
    let failures = await withTaskGroup(of: Int.self) { group in
      for number in 0..<4 { group.addTask { Self.failures(path, number) } }
      return await group.reduce(0, +)
    }
    #expect(failures == 0)
    #expect(scratch.files().count == 1)
  }

  /// Stores and loads what others store too; how often something was amiss.
  private static func failures(_ path: String, _ number: Int) -> Int {
    let contents = (0..<4).map { [UInt8](repeating: UInt8($0), count: 5_000 + $0) }
    guard let cache = try? DiskCache.open(path).get() else { return 1 }
    let key = CacheKey(["contended"])
    return (0..<200).count { _ in
      cache.store(contents[number], under: key, label: "")
      return cache.complaint != nil || cache.load(key).map { !contents.contains($0) } ?? true
    }
  }
}

@Suite struct UserFoldersTests {
  @Test(
    arguments: [
      (["HOME": "/home/a"], "/home/a/.cache/apus", "/home/a/.config/apus"),
      (["HOME": "/home/a", "XDG_CACHE_HOME": "/c", "XDG_CONFIG_HOME": "/f"], "/c/apus", "/f/apus"),
      (["HOME": "/home/a", "XDG_CACHE_HOME": "c"], "/home/a/.cache/apus", "/home/a/.config/apus"),
      (["APUS_CACHE": "/x", "XDG_CACHE_HOME": "/c"], "/x", nil),
      (["HOME": "", "APUS_CACHE": ""], nil, nil), ([:], nil, nil),
    ] as [([String: String], String?, String?)])
  func areWhereTheEnvironmentSays(
    environment: [String: String], cache: String?, configuration: String?
  ) {
    let folders = UserFolders { environment[$0] }
    #expect(folders.cache == cache && folders.configuration == configuration)
  }
}

@Suite struct SHA256Tests {
  /// Figures of FIPS 180-4.
  @Test func digestsAreTheStandards() {
    #expect(
      SHA256.hex(Array("abc".utf8))
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(
      SHA256.hex(Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8))
        == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
  }
}
