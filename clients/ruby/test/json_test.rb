# frozen_string_literal: true

require_relative "support"
require "bigdecimal"
require "open3"
require "ostruct"

# What becomes of whatever a caller holds: always JSON, never an exception, and the same with ActiveSupport as without.
class JsonTest < Minitest::Test
  include Support

  def json(value)
    ValeraAnalytics::Json.generate(value)
  end

  def parsed(value)
    JSON.parse(json([value])).first
  end

  def test_plain_values_are_themselves
    values = { "text" => "Полировка \"кузова\" \\ \n\t\u0001 \u2028 😀", "integer" => -(2**63), "float" => 0.8, "yes" => true, "no" => false,
               "nothing" => nil, "list" => [1, [2, {}]], "empty" => [], "big" => 10**50, "small" => 1e-20 }
    assert_equal values, parsed(values)
  end

  def test_rails_values
    at = Time.new(2026, 11, 24, 12, 0, Rational(123_456_789, 1_000_000_000), "+03:00")
    { BigDecimal("15000.50") => "15000.5", BigDecimal("-0.1") => "-0.1", BigDecimal("1e30") => "1#{'0' * 30}.0", BigDecimal("NaN") => nil,
      BigDecimal("Infinity") => nil, Float::NAN => nil, -Float::INFINITY => nil, :symbol => "symbol",
      at => "2026-11-24T09:00:00.123456Z", at.to_datetime => "2026-11-24T09:00:00.123456Z", Date.new(2026, 11, 24) => "2026-11-24",
      Set[1, :a] => [1, "a"], Struct.new(:a, :b).new(1, nil) => { "a" => 1, "b" => nil }, Rational(1, 3) => "1/3",
      String => "String" }.each do |value, expected|
      expected.nil? ? assert_nil(parsed(value)) : assert_equal(expected, parsed(value))
    end
    assert_operator json(BigDecimal("1e1000000000")).size, :<, 100
  end

  def test_strings_of_any_encoding_become_utf_8
    assert_equal "Полировка", parsed("Полировка".encode("Windows-1251"))
    assert_equal "Полировка", parsed("Полировка".b)
    assert_equal "Полировка", parsed("Полировка".encode("UTF-16LE"))
    assert_equal "a\uFFFDb", parsed("a\xFFb")
    assert_equal "a\uFFFDb", parsed("a\xFFb".b)
    assert_equal "a\uFFFDb", parsed("a\xFFb".dup.force_encoding("US-ASCII"))
    assert_equal "+AGE-", parsed((+"+AGE-").force_encoding("UTF-7"))
    assert_equal({ "a\uFFFD" => 1 }, parsed({ "a\xFF" => 1 }))
    assert_equal "\u0000", parsed("\u0000")
  end

  def test_of_a_key_given_twice_the_last_stands
    assert_equal '{"a":2,"1":3,"":4}', json({ a: 1, "a" => 2, 1 => 3, nil => 4 })
  end

  def test_what_holds_itself_is_cut
    list = [1]
    list << list << list
    assert_equal [1, nil, nil], parsed(list)
    hash = { a: 1 }
    hash[:self] = [hash, hash]
    assert_equal({ "a" => 1, "self" => [nil, nil] }, parsed(hash))
    shared = [1]
    assert_equal [[1], [1]], parsed([shared, shared])
  end

  def test_what_is_too_deep_is_cut
    deep = nil
    1_000.times { deep = [deep] }
    assert_equal 64, json(deep).count("[")
    assert_includes json(deep), "[null]"
  end

  def test_what_is_too_large_is_an_error_at_once
    wide = [1]
    40.times { wide = [wide, wide] }
    ["x" * 600_000, [0] * 600_000, { a: "x" * 300_000, b: "y" * 300_000 }, wide].each do |large|
      assert_raises(ValeraAnalytics::Json::TooLarge) { json(large) }
    end
  end

  class Hostile
    def initialize(&block)
      @block = block
    end

    def to_s
      @block.call
    end
  end

  def test_a_value_that_fails_is_null_and_costs_nothing_else
    hostile = [Hostile.new { raise "no" }, Hostile.new { raise NotImplementedError }, Hostile.new { 7 }, BasicObject.new]
    hostile.each { |value| assert_match(/\A\{"a":1,"b":("#<.*>"|null),"c":2\}\z/, json({ a: 1, b: value, c: 2 })) }
    endless = Hostile.new { endless.to_s }
    assert_equal '{"a":1,"b":null,"c":2}', json({ a: 1, b: endless, c: 2 })
  end

  def test_track_never_raises_whatever_it_is_given
    client = client("http://127.0.0.1:1")
    values = [nil, 1, "x", :x, [], {}, 1.5, Float::NAN, Object, BasicObject.new, Hostile.new { raise Exception, "no" }, "\xFF", Time.now]
    values.each do |value|
      client.track(value, chat_id: value, properties: value, occurred_at: value, session_id: value, platform: value)
      client.track("spoken", chat_id: 1, properties: { value: value })
    end
    assert_nil client.track("spoken", chat_id: 1, properties: { text: "x" * 600_000 })
    assert_equal 1, client.stats[:too_large]
    assert client.flush(10)
    kept = files.flat_map { |name| File.readlines(File.join(@dir, name)) }
    assert_equal client.stats[:tracked], kept.size
    kept.each { |line| assert_kind_of Hash, JSON.parse(line) }
  end

  def test_an_interrupt_and_a_timeout_of_the_callers_are_not_swallowed
    client = client("http://127.0.0.1:1")
    assert_raises(Interrupt) { client.track("spoken", chat_id: 1, properties: { a: Hostile.new { raise Interrupt } }) }
    slow = Hostile.new { sleep 0.3 and "slow" }
    assert_raises(ArgumentError) { Timeout.timeout(0.1, ArgumentError) { client.track("spoken", chat_id: 1, properties: { a: slow }) } }
    assert_equal 1, client.stats[:tracked]
  end

  def test_an_id_is_a_version_7_of_its_events_time
    { Time.at(1_764_000_000, 123_999, :usec) => 1_764_000_000_123, "2026-11-24T12:00:00.5+03:00" => 1_795_510_800_500,
      DateTime.new(2026, 11, 24, 9) => 1_795_510_800_000, 1_764_000_000 => 1_764_000_000_000 }.each do |at, millis|
      id, line = ValeraAnalytics::Event.build("spoken", 1, {}, at, nil, nil)
      assert_match(/\A\h{8}-\h{4}-7\h{3}-[89ab]\h{3}-\h{12}\z/, id)
      assert_equal millis, id.delete("-")[0, 12].hex
      assert_equal millis, (Time.iso8601(JSON.parse(line)["occurred_at"]).to_r * 1000).floor
    end
    ids = Array.new(1_000) { ValeraAnalytics::Event.mint(Time.now) }
    assert_equal 1_000, ids.uniq.size
    ValeraAnalytics::Event.mint(Time.at(-1))
    ValeraAnalytics::Event.mint(Time.at(1 << 60))
  end

  def test_a_time_that_is_none_goes_as_it_is_for_the_gateway_to_name
    ["yesterday", Float::INFINITY, [], { a: 1 }].each do |odd|
      line = ValeraAnalytics::Event.build("spoken", 1, {}, odd, nil, nil).last
      refute_match(/Z\z/, JSON.parse(line)["occurred_at"].to_s)
    end
  end

  def test_active_support_changes_nothing
    script = File.join(__dir__, "as_rails_would.rb")
    plain, status = Open3.capture2e(RbConfig.ruby, script)
    assert status.success?, plain
    rails, status = Open3.capture2e(RbConfig.ruby, script, "--active-support")
    if status.exitstatus == 69
      raise "ActiveSupport is missing: scripts/setup --with-ruby" if ENV["VALERA_TEST_ALL"] == "1"

      puts "left out, for want of ActiveSupport: scripts/setup --with-ruby"
      skip
    end
    assert status.success?, rails
    assert_equal plain, rails.lines.reject { |line| line.start_with?("rails ") }.join
    assert_equal <<~SAID, rails.lines.select { |line| line.start_with?("rails ") }.join
      rails "2026-11-24T09:00:00.123456Z"
      rails 300
      rails {"a":{"b":[1,null]},"c":"<b>"}
      rails "2026-11-24T09:00:00.123456Z"
    SAID
  end
end
